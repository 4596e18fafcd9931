// imgsync push and imgsync serve.
#pragma once

#include "cli/options.h"

namespace imgfs {

Command push_command();
Command serve_command();

}  // namespace imgfs
