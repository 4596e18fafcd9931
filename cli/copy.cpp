// imgfs cp: files and trees out of an image, without mounting.
#include <boost/program_options.hpp>
#include <cerrno>

#include "cli/commands.h"
#include "cli/copy_out.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/view/path.h"

namespace imgfs {
namespace {

/// As cp: into DEST if that is a directory, else as DEST.
struct Destination {
    std::filesystem::path folder;
    std::string name;  ///< empty: as in the image
};

Destination destination(const std::string& named, size_t sources) {
    const std::filesystem::path path = named;
    if (std::filesystem::is_directory(path)) {
        return {path, ""};
    }
    if (sources > 1 || named.ends_with('/')) {
        fail(ENOTDIR, printable(named) + ": is not a directory; make it first");
    }
    return {path.has_parent_path() ? path.parent_path() : ".", path.filename().string()};
}

std::string last_component(const std::string& path) {
    const auto name = std::filesystem::path(path).lexically_normal();
    return name.has_filename() ? name.filename().string() : name.parent_path().filename().string();
}

}  // namespace

void add_copy_options(OptionTable& table) {
    add_image_options(table);
    table.add_options()("recursive,r", "copy directories with all that is below them")(
        "archive,a", "the same (modes, times and links are always kept)");
}

int copy_command(const Arguments& arguments) {
    catch_interrupts();
    const auto opened = open_view(image_options(arguments), "imgfs cp");
    const auto& operands = arguments.operands;
    const std::vector<std::string> paths(operands.begin() + 1, operands.end() - 1);
    const auto target = destination(operands.back(), paths.size());
    const auto progress = terminal_progress("copying");
    CopyOut copy(*opened.view, say, [&](uint64_t) { progress(0, 0); });
    int status = done;
    for (const auto& path : paths) {
        const auto file = resolve_path(*opened.view, path, LastLink::follow);
        if (!file) {
            say(printable(path) + ": there is no such file in the image");
            status = failed;
            continue;
        }
        if (S_ISDIR(file->mode) && !arguments.has("recursive") && !arguments.has("archive")) {
            say(printable(path) + ": is a directory; -r copies it");
            status = failed;
            continue;
        }
        auto name = target.name.empty() ? last_component(path) : target.name;
        copy.copy(*file, target.folder, name.empty() ? "." : name);
    }
    return copy.complete() ? status : failed;
}

}  // namespace imgfs
