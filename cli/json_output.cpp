#include "cli/json_output.h"

#include <iostream>

namespace imgfs {

void print_json(nlohmann::json document) {
    document["schema"] = 1;
    std::cout << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

}  // namespace imgfs
