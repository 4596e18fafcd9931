// CrashRecorder: writes down every change to a delta's folder, and makes the folder as a crash at
// any of them may leave it.
#pragma once

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>

#include "fs/base/error.h"
#include "fs/store/layer_file.h"
#include "tests/support/temp_dir.h"

namespace imgfs {

class CrashRecorder final : public FileWatcher {
  public:
    struct Event {
        FileChange::Kind kind;
        std::string name;
        std::string file;  ///< tells files apart that had the same name
        uint64_t offset;
        Bytes bytes;
    };

    void before(const FileChange& change) override {
        const std::lock_guard lock(mutex_);
        if (refuse && refuse(change)) {
            fail(refusal, "refused by the test");
        }
        const auto name = change.path.filename().string();
        made_[name] += change.kind == Kind::create ? 1 : 0;
        events_.push_back({change.kind, name, name + '#' + std::to_string(made_[name]),
                           change.offset, Bytes(change.bytes.begin(), change.bytes.end())});
    }

    size_t count() const { return events_.size(); }
    const Event& event(size_t index) const { return events_[index]; }
    size_t count(FileChange::Kind kind) const {
        return static_cast<size_t>(std::ranges::count(events_, kind, &Event::kind));
    }

    /// The program is killed after `done` changes and the first `torn` bytes of the next write: all
    /// that was handed to the kernel is there.
    void make_killed(size_t done, size_t torn, const std::filesystem::path& folder) const {
        Disk disk;
        for (size_t i = 0; i < done; ++i) {
            disk.apply(events_[i]);
        }
        if (torn != 0) {
            auto part = events_[done];
            part.bytes.resize(torn);
            disk.apply(part);
        }
        disk.save(folder);
    }

    /// The power fails after `done` changes: of what was not synced each write and each name is
    /// there, or not, or half of a write's sectors are.
    void make_power_cut(size_t done, std::mt19937_64& random,
                        const std::filesystem::path& folder) const {
        Disk disk;
        std::vector<const Event*> pending;
        for (size_t i = 0; i < done; ++i) {
            const auto& event = events_[i];
            pending.push_back(&event);
            std::erase_if(pending, [&](const Event* earlier) {
                const bool durable = is_made_durable(*earlier, event);
                if (durable) {
                    disk.apply(*earlier);
                }
                return durable;
            });
        }
        for (const auto* event : pending) {
            apply_by_chance(*event, random, disk);
        }
        disk.save(folder);
    }

    /// A change for which this is true fails with `refusal` instead of being done.
    std::function<bool(const FileChange&)> refuse;
    int refusal = 0;

  private:
    using Kind = FileChange::Kind;

    struct Disk {
        std::map<std::string, Bytes> files;
        std::map<std::string, std::string> names;  // and the file that each is of

        void apply(const Event& event) {
            auto& content = files[event.file];
            switch (event.kind) {
                case Kind::create:
                    names[event.name] = event.file;
                    break;
                case Kind::remove:
                    names.erase(event.name);
                    break;
                case Kind::replace:
                    names[event.name] = event.file;
                    content = event.bytes;
                    break;
                case Kind::truncate:
                    content.resize(event.offset);
                    break;
                case Kind::write:
                    content.resize(
                        std::max<size_t>(content.size(), event.offset + event.bytes.size()));
                    std::ranges::copy(event.bytes,
                                      content.begin() + static_cast<ptrdiff_t>(event.offset));
                    break;
                case Kind::sync:
                case Kind::sync_folder:
                case Kind::allocate:
                    break;
            }
        }

        void save(const std::filesystem::path& folder) const {
            std::filesystem::remove_all(folder);
            std::filesystem::create_directories(folder);
            for (const auto& [name, file] : names) {
                write_file(folder / name, files.at(file));
            }
        }
    };

    static bool is_name_change(Kind kind) {
        return kind == Kind::create || kind == Kind::remove || kind == Kind::replace;
    }

    // A replace syncs its folder itself.
    static bool is_made_durable(const Event& earlier, const Event& by) {
        if (is_name_change(earlier.kind)) {
            return by.kind == Kind::sync_folder || by.kind == Kind::replace;
        }
        return by.kind == Kind::sync && by.file == earlier.file;
    }

    static void apply_by_chance(const Event& event, std::mt19937_64& random, Disk& disk) {
        constexpr size_t kSector = 512;
        const auto chance = random() % 3;
        if (chance == 0) {
            return;
        }
        if (chance == 1 || event.kind != Kind::write) {
            disk.apply(event);
            return;
        }
        for (size_t at = 0; at < event.bytes.size(); at += kSector) {
            if (random() % 2 == 0) {
                const auto length = std::min(kSector, event.bytes.size() - at);
                const auto sector = ConstByteSpan(event.bytes).subspan(at, length);
                disk.apply({event.kind, event.name, event.file, event.offset + at,
                            Bytes(sector.begin(), sector.end())});
            }
        }
    }

    std::mutex mutex_;
    std::vector<Event> events_;
    std::map<std::string, int> made_;  // files of each name
};

}  // namespace imgfs
