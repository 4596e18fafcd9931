// Rolling a delta back: what comes after a state is set aside, and can be put back.
#pragma once

#include "fs/store/layer_list.h"

namespace imgfs {

/// Sets the layers behind the oldest `kept` aside. EINVAL if there are none.
void roll_back(LayerList& list, size_t kept);

/// Puts back what the last rollback set aside, and sets aside in its place what has come since.
/// ENOENT if nothing is set aside.
void undo_rollback(LayerList& list);

}  // namespace imgfs
