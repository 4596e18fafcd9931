// A file as the model of a view has it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "fs/view/view.h"

namespace imgfs {

struct Node {
    InodeNumber inode = 0;
    uint32_t mode = 0;
    uint32_t uid = 0;
    uint32_t gid = 0;
    Bytes content;
    std::string link_target;
    std::map<std::string, Bytes> xattrs;
    std::map<std::string, std::shared_ptr<Node>> names;
    Node* parent = nullptr;  ///< of a directory
    int links = 1;
    int opened = 0;

    bool is_directory() const { return S_ISDIR(mode); }
};

using NodePointer = std::shared_ptr<Node>;

}  // namespace imgfs
