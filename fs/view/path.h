// Paths inside a view.
#pragma once

#include <optional>
#include <string_view>

#include "fs/view/view.h"

namespace imgfs {

enum class LastLink { follow, keep };

/// The file that `path` names, as a process whose root is the view's root would find it: links,
/// absolute ones too, stay inside. Empty if a component is missing or isn't a directory; ELOOP
/// after 40 links.
std::optional<Attributes> resolve_path(View& view, std::string_view path, LastLink last);

}  // namespace imgfs
