// ext_device: lets libext2fs read and write a Device.
#pragma once

#include <ext2fs/ext2fs.h>

#include <memory>
#include <string>

#include "fs/store/device.h"

namespace imgfs {

/// The I/O manager to give to ext2fs_open2() with the name of a RegisteredDevice. It keeps no
/// cache; writes reach the device at once.
io_manager device_io_manager();

/// Makes a device known to device_io_manager() by name for as long as it lives; libext2fs opens it
/// by that name, some functions again and again. `device` must outlive it.
class RegisteredDevice {
  public:
    explicit RegisteredDevice(Device& device);
    RegisteredDevice(const RegisteredDevice&) = delete;
    RegisteredDevice& operator=(const RegisteredDevice&) = delete;
    ~RegisteredDevice();

    const std::string& name() const { return name_; }

  private:
    std::string name_;
};

/// What the device threw last in a call of libext2fs by this thread, which saw only a number of it;
/// null if it threw nothing since the last call of this function.
std::exception_ptr take_device_error();

}  // namespace imgfs
