// The target's end of a push.
#pragma once

#include "sync/channel.h"

namespace imgsync {

/// Receives one push into the directory that the other end names. Returns when all of it is there
/// and durable; fails with what ended it, after telling the other end if that is still there.
/// Temporary files are gone in any case.
void serve(const Wires& wires);

}  // namespace imgsync
