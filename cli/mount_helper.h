// mount.imgfs: what mount(8) and fstab call, turned into an `imgfs mount` command line.
#pragma once

#include <string>
#include <vector>

namespace imgfs {

/// From "IMAGE MOUNTPOINT [-sfnv] [-o OPTIONS]" to the words after `imgfs`; of contradicting
/// options the last one counts. Those that are for mount(8) itself (noauto, user, nofail, _netdev,
/// x-…, comment=) or change nothing here (noatime, sync …) are left out; others that imgfs doesn't
/// know are refused with UsageError.
std::vector<std::string> mount_helper_words(const std::vector<std::string>& words);

}  // namespace imgfs
