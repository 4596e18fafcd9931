// PointsView: recovery points side by side, a folder each.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fs/view/view.h"

namespace imgfs {

struct PointFolder {
    std::string name;
    timespec time{};  ///< shown for the folder
};

/// Gives the view of one of the folders, by its place in the list, whose inode numbers have 32
/// bits. May be called again for the same one, on any thread, one at a time. Shared, since a view
/// that isn't kept open any more is closed by the last one who reads in it.
using OpenPoint = std::function<std::shared_ptr<View>(size_t point)>;

/// Read-only. A point is opened when it is first looked at; the last 16 stay open.
std::unique_ptr<View> make_points_view(std::vector<PointFolder> points, OpenPoint open);

}  // namespace imgfs
