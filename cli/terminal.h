// What a person sees of a running command: notes, progress, questions; and Ctrl-C.
#pragma once

#include <string>

#include "fs/base/progress.h"

namespace imgfs {

/// One line on stderr: "imgfs: LINE".
void say(const std::string& line);

/// From now on SIGINT and SIGTERM don't kill at once: progress functions throw ECANCELED, so that
/// the job cleans up.
void catch_interrupts();

/// Shows "WHAT: 34 % of 812.0 MiB, 210.0 MiB/s, 3 s left" on stderr if that is a terminal, five
/// times a second at most. Throws ECANCELED after Ctrl-C.
Progress terminal_progress(std::string what);

/// As many as the system lets us have: a delta has one for each layer and map, a walk one for each
/// level of directories.
void allow_many_descriptors();

/// Is there a person to ask?
bool can_ask();

/// Asks and returns the line that was typed.
std::string ask(const std::string& question);

}  // namespace imgfs
