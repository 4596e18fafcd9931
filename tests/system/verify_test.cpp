// imgfs verify, of an image with recovery points.
#include "tests/support/real_image.h"

namespace imgfs {
namespace {

class VerifyTest : public RealImageTest {
  protected:
    VerifyTest() {
        in_dir(
            "$imgfs mount web1/sda1 mnt && head -c 3000000 /dev/urandom > mnt/old && "
            "echo one > mnt/new && $imgfs seal web1/sda1 monday && rm mnt/old && "
            "head -c 2000000 /dev/urandom > mnt/data && $imgfs seal web1/sda1 tuesday && "
            "echo two > mnt/new && $imgfs umount mnt");
    }

    ShellResult verify(const std::string& options = "") const {
        return try_in_dir("$imgfs verify web1/sda1 " + options + " 2>/dev/null");
    }

    /// Of the n-th layer.
    void flip(int layer, const std::string& byte) const {
        in_dir(
            "python3 -c 'import glob, os, sys; "
            "name = glob.glob(\"web1/imgfs/*/00000" +
            std::to_string(layer) +
            ".layer\")[0]; os.chmod(name, 0o600); file = open(name, \"r+b\"); "
            "at = " +
            byte +
            "; file.seek(at); old = file.read(1)[0]; file.seek(at); "
            "file.write(bytes([old ^ 16]))'");
    }
};

TEST_F(VerifyTest, AllIsReadUnlessLessIsAskedFor) {
    const auto all = verify();
    EXPECT_EQ(all.status, 0) << all.output;
    EXPECT_EQ(verify("--read-data").output, all.output);
    EXPECT_NE(all.output.find("3 layers"), std::string::npos) << all.output;
    const auto structure = verify("--structure");
    EXPECT_EQ(structure.status, 0);
    EXPECT_NE(structure.output.find("data was not read"), std::string::npos) << structure.output;
    EXPECT_NE(verify("--subset 2/3").output.find("sound: subset 2/3"), std::string::npos);
    for (const auto* wrong : {"--subset 0/3", "--subset 4/3", "--subset 1", "--subset 1/x",
                              "--structure --read-data"}) {
        EXPECT_EQ(verify(wrong).status, 2) << wrong;
    }
}

TEST_F(VerifyTest, DamageInAnOldPointIsFoundAndItsFileNamed) {
    flip(1, "2000000");
    const auto found = verify();
    EXPECT_EQ(found.status, 3);
    EXPECT_NE(found.output.find("000001.layer: damaged at byte"), std::string::npos)
        << found.output;
    EXPECT_NE(found.output.find("damaged file: at monday: /old"), std::string::npos)
        << found.output;
    EXPECT_EQ(verify("--structure").status, 0) << "which reads no data";
    int finders = 0;
    for (const auto* part : {"1/3", "2/3", "3/3"}) {
        const auto status = verify("--subset " + std::string(part)).status;
        EXPECT_TRUE(status == 0 || status == 3) << status;
        finders += status == 3 ? 1 : 0;
    }
    EXPECT_EQ(finders, 1);
    EXPECT_EQ(in_dir("$imgfs verify web1/sda1 --json 2>/dev/null | python3 -c 'import json, sys; "
                     "d = json.load(sys.stdin); print(d[\"sound\"], d[\"damaged_files\"], "
                     "d[\"delta_layers\"])' || true"),
              "False ['at monday: /old'] 3\n");
}

TEST_F(VerifyTest, DamageOfWhatIsThereNowNamesTheFileAlone) {
    flip(2, "1500000");
    const auto found = verify();
    EXPECT_EQ(found.status, 3);
    EXPECT_NE(found.output.find("damaged file: /data"), std::string::npos) << found.output;
}

TEST_F(VerifyTest, ADamagedRecordHeaderIsStructure) {
    flip(1, "8200");
    EXPECT_EQ(verify("--structure").status, 3);
    EXPECT_EQ(verify().status, 3);
}

}  // namespace
}  // namespace imgfs
