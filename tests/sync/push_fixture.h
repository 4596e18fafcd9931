// A source and a target to push between, in a directory of their own.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "sync/push.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tree_listing.h"

namespace imgsync {

class PushFixture : public ::testing::Test {
  protected:
    PushFixture() {
        options_.source = source_;
        options_.target = target_;
        options_.delete_extra = true;
        options_.on_problem = [this](const std::string& line) { problems_.push_back(line); };
    }

    /// Runs a shell script in the directory that holds `source` and `target`.
    std::string in_directory(const std::string& script) const {
        return imgfs::run("set -e; cd " + imgfs::shell_quoted(directory_.path().string()) + "; " +
                          script);
    }
    PushSummary push_now() { return push(options_); }
    /// Files that were made just now are believed to be the same if size and time are equal.
    void trust_fresh_files() { options_.unsure_since = Time{.seconds = INT64_MAX}; }
    /// As push_now(), and both trees must be equal after it.
    PushSummary push_equal() {
        const auto summary = push_now();
        imgfs::expect_equal_trees(source_, target_);
        EXPECT_EQ(problems_, std::vector<std::string>());
        return summary;
    }

    imgfs::TempDir directory_;
    const std::string source_ = directory_ / "source";
    const std::string target_ = directory_ / "target";
    PushOptions options_;
    std::vector<std::string> problems_;
};

}  // namespace imgsync
