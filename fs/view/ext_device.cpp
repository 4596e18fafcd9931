#include "fs/view/ext_device.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <utility>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

thread_local std::exception_ptr device_error;

struct Registry {
    std::mutex mutex;
    uint64_t next = 1;
    std::map<std::string, Device*> devices;
};

Registry& registry() {
    static Registry devices;
    return devices;
}

/// Runs `work` and turns what it throws into the number that libext2fs hands on.
template <typename Work>
errcode_t guarded(Work work) {
    try {
        work();
        return 0;
    } catch (const std::exception& error) {
        device_error = std::current_exception();
        return errno_of(error);
    }
}

struct Channel : struct_io_channel {
    Device* device = nullptr;
    bool writable = false;
    std::string device_name;
};

Channel& of(io_channel channel) {
    return *static_cast<Channel*>(channel);
}

struct Range {
    uint64_t offset;
    uint64_t length;
};

/// libext2fs asks for whatever stands in the (hostile) file system.
Range range_of(const Channel& channel, uint64_t block, uint64_t length) {
    const auto block_size = static_cast<uint64_t>(channel.block_size);
    const uint64_t size = channel.device->bound();
    if (block > size / block_size || length > size - block * block_size) {
        fail(EUCLEAN, channel.device->place(size) + ": block " + format_count(block) +
                          " of the file system lies past the end of the partition");
    }
    return {block * block_size, length};
}

/// A negative count is in bytes.
uint64_t length_of(const Channel& channel, int count) {
    const auto wide = static_cast<int64_t>(count);
    return static_cast<uint64_t>(wide < 0 ? -wide : wide * channel.block_size);
}

void check_writable(const Channel& channel) {
    if (!channel.writable) {
        fail(EROFS, "the file system is open read-only");
    }
}

errcode_t open_device(const char* name, int flags, io_channel* channel) {
    return guarded([&] {
        Registry& known = registry();
        const std::lock_guard lock(known.mutex);
        const auto found = known.devices.find(name);
        if (found == known.devices.end()) {
            fail(ENODEV, std::string(name) + ": no device of this name is open");
        }
        auto opened = std::make_unique<Channel>();
        opened->magic = EXT2_ET_MAGIC_IO_CHANNEL;
        opened->manager = device_io_manager();
        opened->device = found->second;
        opened->device_name = name;
        opened->name = opened->device_name.data();
        opened->block_size = 1024;
        opened->refcount = 1;
        opened->flags = CHANNEL_FLAGS_DISCARD_ZEROES;
        opened->writable = (flags & IO_FLAG_RW) != 0;
        *channel = opened.release();  // owned by libext2fs until close_device()
    });
}

errcode_t close_device(io_channel channel) {
    if (--channel->refcount <= 0) {
        const std::unique_ptr<Channel> closed(&of(channel));
    }
    return 0;
}

errcode_t set_block_size(io_channel channel, int size) {
    if (size < 1) {
        return EXT2_ET_INVALID_ARGUMENT;
    }
    channel->block_size = size;
    return 0;
}

errcode_t read_blocks(io_channel channel, unsigned long long block, int count, void* data) {
    return guarded([&] {
        const Range range = range_of(of(channel), block, length_of(of(channel), count));
        // libext2fs goes on using its buffers after a read that failed: they must be as they were.
        thread_local Bytes whole;
        whole.resize(range.length);
        of(channel).device->read(range.offset, whole);
        std::ranges::copy(whole, static_cast<std::byte*>(data));
    });
}

errcode_t write_blocks(io_channel channel, unsigned long long block, int count, const void* data) {
    return guarded([&] {
        check_writable(of(channel));
        const Range range = range_of(of(channel), block, length_of(of(channel), count));
        of(channel).device->write(range.offset,
                                  {static_cast<const std::byte*>(data), range.length});
    });
}

errcode_t read_blocks_short(io_channel channel, unsigned long block, int count, void* data) {
    return read_blocks(channel, block, count, data);
}

errcode_t write_blocks_short(io_channel channel, unsigned long block, int count, const void* data) {
    return write_blocks(channel, block, count, data);
}

errcode_t flush_device(io_channel) {
    return 0;  // what was written is in the device; durable it becomes in a commit
}

errcode_t write_bytes(io_channel channel, unsigned long offset, int count, const void* data) {
    return guarded([&] {
        check_writable(of(channel));
        const auto length = static_cast<size_t>(count < 0 ? 0 : count);
        of(channel).device->write(offset, {static_cast<const std::byte*>(data), length});
    });
}

errcode_t discard_blocks(io_channel channel, unsigned long long block, unsigned long long count) {
    return guarded([&] {
        check_writable(of(channel));
        const auto block_size = static_cast<uint64_t>(channel->block_size);
        const uint64_t length = count > UINT64_MAX / block_size ? UINT64_MAX : count * block_size;
        const Range range = range_of(of(channel), block, length);
        of(channel).device->discard(range.offset, range.length);
    });
}

}  // namespace

io_manager device_io_manager() {
    static struct_io_manager manager{
        .magic = EXT2_ET_MAGIC_IO_MANAGER,
        .name = "imgfs device",
        .open = open_device,
        .close = close_device,
        .set_blksize = set_block_size,
        .read_blk = read_blocks_short,
        .write_blk = write_blocks_short,
        .flush = flush_device,
        .write_byte = write_bytes,
        .read_blk64 = read_blocks,
        .write_blk64 = write_blocks,
        .discard = discard_blocks,
        .zeroout = discard_blocks,  // discarded blocks read as zero
    };
    return &manager;
}

RegisteredDevice::RegisteredDevice(Device& device) {
    Registry& known = registry();
    const std::lock_guard lock(known.mutex);
    name_ = "imgfs:" + std::to_string(known.next++);
    known.devices.emplace(name_, &device);
}

RegisteredDevice::~RegisteredDevice() {
    Registry& known = registry();
    const std::lock_guard lock(known.mutex);
    known.devices.erase(name_);
}

std::exception_ptr take_device_error() {
    return std::exchange(device_error, nullptr);
}

}  // namespace imgfs
