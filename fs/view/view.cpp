#include "fs/view/view.h"

#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

[[noreturn]] void refuse() {
    fail(EROFS, "this view can't be written");
}

}  // namespace

void View::write(InodeNumber, uint64_t, ConstByteSpan) {
    refuse();
}

Attributes View::change(InodeNumber, const AttributeChanges&) {
    refuse();
}

Attributes View::make(InodeNumber, const NewFile&) {
    refuse();
}

Attributes View::link(InodeNumber, InodeNumber, std::string_view) {
    refuse();
}

void View::unlink(InodeNumber, std::string_view) {
    refuse();
}

void View::rmdir(InodeNumber, std::string_view) {
    refuse();
}

void View::rename(InodeNumber, std::string_view, InodeNumber, std::string_view, RenameMode) {
    refuse();
}

void View::set_xattr(InodeNumber, const std::string&, ConstByteSpan, XattrMode) {
    refuse();
}

void View::remove_xattr(InodeNumber, const std::string&) {
    refuse();
}

void View::commit() {}

}  // namespace imgfs
