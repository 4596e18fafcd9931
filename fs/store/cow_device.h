// CowDevice: a source that is never changed, and over it what was written.
#pragma once

#include <memory>

#include "fs/store/delta_store.h"
#include "fs/store/device.h"

namespace imgfs {

/// Reads see what was written last, else the delta, else the base. Written blocks are held in
/// memory until the sync() after the cut() that covers them. Over a delta that was opened read-only
/// it is read-only.
class CowDevice final : public Device {
  public:
    /// `delta` must outlive the device and belong to it alone.
    CowDevice(std::unique_ptr<Source> base, DeltaStore& delta);
};

}  // namespace imgfs
