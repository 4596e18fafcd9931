// imgfs export and imgfs import: a recovery point as a file.
#include <boost/program_options.hpp>
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/text.h"
#include "fs/source/file_source.h"
#include "fs/transfer/export_point.h"

namespace imgfs {
namespace {

void print_result(const Arguments& arguments, const std::string& file, const std::string& point,
                  uint64_t bytes, const char* what) {
    if (arguments.has("json")) {
        print_json({{"file", file}, {"point", point}, {"bytes", bytes}});
    } else {
        std::cout << printable(file) << ": point " << point << what << ", " << format_size(bytes)
                  << "\n";
    }
}

}  // namespace

void add_export_options(OptionTable& table) {
    add_delta_option(table);
    table.add_options()("overwrite", "replace an existing file")("json", "print one JSON document");
}

int export_command(const Arguments& arguments) {
    catch_interrupts();
    const auto& point = arguments.operands[1];
    const auto& file = arguments.operands[2];
    const auto opened =
        open_device(image_options(arguments), DeltaAccess::read_only, "imgfs export");
    refuse_own_files(opened, file);
    if (std::filesystem::exists(file) && !arguments.has("overwrite")) {
        throw UsageError(printable(file) + " exists; --overwrite replaces it");
    }
    const auto bytes = export_point(*opened.delta, point, file, terminal_progress("exporting"));
    print_result(arguments, file, point, bytes, "");
    return done;
}

void add_import_options(OptionTable& table) {
    add_delta_option(table);
    add_lock_option(table);
    table.add_options()("json", "print one JSON document");
}

int import_command(const Arguments& arguments) {
    catch_interrupts();
    const auto& name = arguments.operands[1];
    const FileSource file(name);
    const auto opened =
        open_device(image_options(arguments), DeltaAccess::read_write, "imgfs import");
    const auto point = opened.delta->import_point(file, terminal_progress("importing"));
    print_result(arguments, name, point.name, point.bytes, " added");
    return done;
}

}  // namespace imgfs
