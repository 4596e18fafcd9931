// What the target's end counts, lists and complains of.
#pragma once

#include <exception>

#include "sync/channel.h"
#include "sync/inode.h"

namespace imgsync {

class Changes {
  public:
    /// `writer` must outlive it.
    Changes(FrameWriter& writer, const Hello& hello) : writer_(writer), hello_(hello) {}

    bool is_dry_run() const { return hello_.dry_run; }
    bool deletes() const { return hello_.delete_extra; }

    void record(Action action, Kind kind, const std::string& path);
    /// Something can't be done, the rest goes on. A full or failing target ends the push: throws
    /// `error` again.
    void problem(const std::exception& error);
    void problem(std::string line);
    /// What setting attributes left undone.
    void take(const SetResult& result);
    void kept() { ++counts_.kept; }
    void not_permitted() { ++counts_.not_permitted; }
    void resent() { ++counts_.resent; }

    const TargetCounts& counts() const { return counts_; }

  private:
    FrameWriter& writer_;
    const Hello& hello_;
    TargetCounts counts_;
};

}  // namespace imgsync
