// imgfs index: makes the seek index ahead of time.
#include <cerrno>
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {

void add_index_options(OptionTable& table) {
    table.add_options()("dense", "more seek points: a larger index, quicker reads")(
        "json", "print one JSON document");
}

namespace {

OpenImage open_indexed(const ImageOptions& options) {
    try {
        auto image = open_image(options);
        image.partition->settle();
        return image;
    } catch (const std::exception& error) {
        if (errno_of(error) == ECANCELED) {
            fail(ECANCELED, "interrupted; the same command goes on where it stopped");
        }
        throw;
    }
}

}  // namespace

int index_command(const Arguments& arguments) {
    catch_interrupts();
    ImageOptions options;
    options.image = arguments.operands.front();
    options.keep_index = true;
    options.dense_index = arguments.has("dense");
    const auto image = open_indexed(options);
    if (image.index == nullptr) {
        if (arguments.has("json")) {
            print_json({{"codec", image.codec}, {"index", nullptr}});
        } else {
            std::cout << "not compressed: needs no index\n";
        }
        return done;
    }
    const auto size = image.index->file().size();
    const auto plain = image.index->size();
    if (arguments.has("json")) {
        print_json({{"codec", image.codec},
                    {"index", image.index->file().name()},
                    {"index_bytes", size},
                    {"packed_bytes", image.index->packed_size()},
                    {"plain_bytes", plain}});
    } else {
        std::cout << printable(image.index->file().name()) << ": " << format_size(size) << " for "
                  << format_size(plain) << "\n";
    }
    return done;
}

}  // namespace imgfs
