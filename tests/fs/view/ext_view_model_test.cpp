// Thousands of random operations on a view and on a model of it in memory.
#include <gtest/gtest.h>

#include "fs/view/ext_view.h"
#include "tests/fs/view/view_model.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"

namespace imgfs {
namespace {

class ExtViewModelTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Types, ExtViewModelTest,
                         testing::Values("-t ext2 -b 1024 -I 128", "-t ext3 -b 2048",
                                         "-t ext4 -b 1024", "-t ext4 -b 4096",
                                         "-t ext4 -b 1024 -O ^metadata_csum,^64bit,uninit_bg"));

TEST_P(ExtViewModelTest, AgreesAndIsCleanInEveryCommit) {
    MemoryDevice device(make_ext_image({.options = GetParam(), .size = 32 * kMiB}));
    size_t hidden = 0;
    {
        const auto view = make_ext_view(device, ViewAccess::read_write);
        Model model(*view, std::hash<std::string>{}(GetParam()));
        for (int round = 0; round < 6; ++round) {
            for (int i = 0; i < 400; ++i) {
                model.step();
                ASSERT_FALSE(testing::Test::HasFailure()) << "round " << round << " step " << i;
            }
            model.delete_an_open_file();
            view->commit();
            hidden += model.deleted_and_open();
            expect_e2fsck_clean(device.committed());
            model.compare();
        }
        model.close_all();
        view->commit();
        expect_e2fsck_clean(device.committed());
        model.compare();
    }
    EXPECT_GT(hidden, 0U) << "no commit had a deleted file that was open";
    expect_e2fsck_clean(device.committed());
}

}  // namespace
}  // namespace imgfs
