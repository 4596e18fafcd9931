// What people really have: parts that are missing, cut or damaged, and disks that are full.
#include <algorithm>

#include "tests/support/real_image.h"

namespace imgfs {
namespace {

using BadInputTest = RealImageTest;

/// A shell function: flip FILE OFFSET changes one bit there.
constexpr auto kFlip =
    "flip() { python3 -c 'import sys; f = open(sys.argv[1], \"r+b\"); f.seek(int(sys.argv[2])); "
    "b = f.read(1)[0]; f.seek(-1, 1); f.write(bytes([b ^ 16]))' $1 $2; }; ";

TEST_F(BadInputTest, AMissingPartIsNamed) {
    in_dir("rm web1/*.ab");
    const auto result = try_in_dir("$imgfs info web1/sda1");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("sda1.ext4-ptcl-img.gz.ab"), std::string::npos) << result.output;
    EXPECT_NE(result.output.find("--rescue"), std::string::npos) << result.output;
}

// What stands before it is there, and nothing is shown that isn't as it was.
TEST_F(BadInputTest, AnImageWithAMissingOrCutPartIsMountedForWhatCanBeReadOfIt) {
    in_dir(
        "$imgfs mount --read-only web1/sda1 mnt && (cd mnt && find . -type f -exec sha256sum {} + "
        "| sort -k2 >../sums) && $imgfs umount mnt && rm -r web1/imgfs; "
        "cat web1/*.gz.a? | pigz -dc >plain && mkdir cut end && "
        "at=$(python3 -c 'print(open(\"plain\", \"rb\").read().find("
        "open(\"tree/bin/big\", \"rb\").read()[1000000:1000512]))') && "
        "split -b 700000 plain cut/sda1.ext4-ptcl-img.uncomp. && cp -r cut gap && "
        "part=$(ls cut | sed -n $((at / 700000 + 1))p) && truncate -s 200000 cut/$part && "
        "rm gap/$part web1/*.ab && head -c $at plain >end/sda1.ext4-ptcl-img.uncomp");
    for (const std::string folder : {"web1", "cut", "gap", "end"}) {
        SCOPED_TRACE(folder);
        const auto refused = try_in_dir("$imgfs mount --read-only " + folder + "/sda1 mnt");
        EXPECT_EQ(refused.status, 1);
        const auto shown = in_dir("$imgfs mount --rescue " + folder + "/sda1 mnt 2>&1");
        EXPECT_TRUE(folder == "end" || shown.find(": this part") != std::string::npos) << shown;
        in_dir(
            "cd mnt && rm -f ../lost ../good && cut -c67- ../sums | while IFS= read -r file; do "
            "cat \"$file\" >../copy 2>../why || { grep -q 'Input/output error' ../why && "
            "echo \"${file#.}\" >>../lost && continue; exit 1; }; echo >>../good; "
            "grep -qF \"$(sha256sum <../copy | cut -c1-64)  $file\" ../sums || exit 1; done");
        // All other files lie behind this one.
        const bool ends_there = folder == "web1" || folder == "end";
        in_dir(ends_there
                   ? "head -c 900000 tree/bin/big >start; head -c 900000 mnt/bin/big | cmp - start"
                   : "test -s good");
        in_dir("$imgfs umount mnt; test -s lost");
        const auto result = try_in_dir("$imgfs verify " + folder + "/sda1 | tee found");
        EXPECT_EQ(try_in_dir("$imgfs verify " + folder + "/sda1").status, 3);
        EXPECT_TRUE(folder == "end" || result.output.find(": this part") != std::string::npos)
            << result.output;
        in_dir("grep -q '^damaged file: ' found");
    }
}

// Flips of which some change how long the plain bytes are.
TEST_F(BadInputTest, EachFlippedByteOfAStreamIsDamage) {
    in_dir("cat web1/*.gz.a? | pigz -dc >plain; pigz -c --fast plain >fast.gz");
    for (const auto* at : {"393675", "500001", "1000003", "1500007", "2000003"}) {
        SCOPED_TRACE(at);
        const auto result = try_in_dir(std::string(kFlip) + "cp fast.gz bad.gz && flip bad.gz " +
                                       at + " && $imgfs verify bad.gz");
        EXPECT_EQ(result.status, 3) << result.output;
        EXPECT_NE(result.output.find("bad.gz: byte "), std::string::npos) << result.output;
    }
}

TEST_F(BadInputTest, AStreamOfAnotherLengthThanItsHeaderPromisesIsDamage) {
    in_dir("cat web1/*.gz.a? | pigz -dc >plain; mkdir other");
    for (const std::string pack :
         {"cat", "zstd", "gzip", "xz -0", "lz4", "lzop", "bzip2", "lzip"}) {
        SCOPED_TRACE(pack);
        for (const std::string change : {"cat plain; echo more", "head -c -4096 plain"}) {
            const auto result = try_in_dir("{ " + change + "; } | " + pack +
                                           " >other/image; $imgfs verify other/image");
            EXPECT_EQ(result.status, 3) << result.output;
            EXPECT_NE(result.output.find("promises"), std::string::npos) << result.output;
        }
    }
}

TEST_F(BadInputTest, OfASoundStreamBehindWhichGarbageStandsNothingIsLost) {
    in_dir(
        "cat web1/*.gz.a? | pigz -dc | zstd -q >a; head -c 5000 /dev/urandom >>a; "
        "$imgfs mount --rescue --raw a mnt && cat mnt/partition >disk; $imgfs umount mnt; "
        "$imgfs restore web1/sda1 good; cmp disk good");
    const auto result = try_in_dir("$imgfs verify a");
    EXPECT_EQ(result.status, 3);
    EXPECT_EQ(result.output.find("damaged file"), std::string::npos) << result.output;
}

TEST_F(BadInputTest, ATruncatedPartIsNamed) {
    in_dir("truncate -s 700000 web1/*.ab");
    const auto result = try_in_dir("$imgfs mount web1/sda1 mnt");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("sda1.ext4-ptcl-img.gz.ab"), std::string::npos) << result.output;
}

TEST_F(BadInputTest, ACutLastPartIsDamageAndSaysSo) {
    in_dir("last=$(ls web1/*.gz.a? | tail -n 1); truncate -s -1000 $last");
    const auto result = try_in_dir("$imgfs verify web1/sda1");
    EXPECT_EQ(result.status, 3);
    EXPECT_NE(result.output.find("missing or cut short"), std::string::npos) << result.output;
}

TEST_F(BadInputTest, AFlippedByteInThePackedStreamIsDamageWithItsPlace) {
    in_dir(std::string(kFlip) + "flip web1/sda1.ext4-ptcl-img.gz.ab 777777");
    const auto result = try_in_dir("$imgfs verify web1/sda1");
    EXPECT_EQ(result.status, 3) << result.output;
    EXPECT_NE(result.output.find("sda1.ext4-ptcl-img.gz.a"), std::string::npos) << result.output;
    EXPECT_NE(result.output.find("byte "), std::string::npos) << result.output;
    EXPECT_NE(result.output.find("block"), std::string::npos) << result.output;
    EXPECT_EQ(try_in_dir("$imgfs index web1/sda1").status, 1);
    EXPECT_EQ(try_in_dir("$imgfs verify web1/sda1").status, 3) << "no whole index is kept of it";
}

TEST_F(BadInputTest, AnIndexThatCannotBeKeptIsAnErrorWithTheWayOut) {
    in_dir("touch web1/imgfs");
    const auto result = try_in_dir("XDG_CACHE_HOME=$PWD/web1/imgfs $imgfs index web1/sda1");
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << result.output;
    EXPECT_NE(result.output.find("XDG_CACHE_HOME"), std::string::npos) << result.output;
    in_dir("XDG_CACHE_HOME=$PWD/cache $imgfs index web1/sda1 && ls cache/imgfs/*.index");
}

TEST_F(BadInputTest, LookingForDamageLeavesNothingBesideTheImage) {
    in_dir("$imgfs verify web1/sda1");
    in_dir("$imgfs mount --rescue web1/sda1 mnt && tar c mnt >/dev/null && $imgfs umount mnt");
    in_dir("test ! -e web1/imgfs");
}

// Zeros behind a stream are part of it: more than can be read at once.
TEST_F(BadInputTest, AnInterruptedIndexSaysHowToGoOn) {
    const auto result = try_in_dir(
        "cat web1/*.gz.a? >long.gz && truncate -s 64G long.gz && "
        "{ $imgfs index long.gz & pid=$!; "
        "while ! test -s imgfs/long.gz/index; do sleep 0.05; done; kill -INT $pid; wait $pid; }");
    EXPECT_EQ(result.status, 130);
    EXPECT_NE(result.output.find("the same command goes on"), std::string::npos) << result.output;
}

// Every file of a damaged image is either as it was or EIO, and verify names the latter.
TEST_F(BadInputTest, ADamagedImageIsMountedForWhatCanBeReadOfIt) {
    in_dir(
        "$imgfs mount --read-only web1/sda1 mnt && (cd mnt && find . -type f -exec sha256sum {} + "
        "| sort -k2 >../sums) && $imgfs umount mnt && rm -r web1/imgfs");
    in_dir(std::string(kFlip) + "flip web1/sda1.ext4-ptcl-img.gz.ab 777777");
    for (const auto* how : {"--read-only", "--rescue"}) {
        SCOPED_TRACE(how);
        in_dir(std::string("$imgfs mount ") + how + " web1/sda1 mnt");
        in_dir(
            "cd mnt && rm -f ../lost && cut -c67- ../sums | while IFS= read -r file; do "
            "cat \"$file\" >../copy 2>../why || { grep -q 'Input/output error' ../why && "
            "echo \"${file#.}\" >>../lost && continue; exit 1; }; "
            "grep -qF \"$(sha256sum <../copy | cut -c1-64)  $file\" ../sums || exit 1; done");
        in_dir("$imgfs umount mnt");
    }
    in_dir("test -s lost && test $(wc -l <lost) -lt $(wc -l <sums)");
    const auto result = try_in_dir("$imgfs verify web1/sda1 >found; grep -v '^damaged: ' found");
    in_dir(
        "sed -n 's/^damaged file: //p' found | sort >named; "
        "grep -vx /bin/hard lost | sort | diff - named");  // one name of each
    EXPECT_EQ(try_in_dir("$imgfs mount -w --rescue web1/sda1 mnt").status, 2);
}

TEST_F(BadInputTest, AFlippedByteInABlockIsFoundByVerify) {
    in_dir("cat web1/*.gz.a? | pigz -dc > plain.img");
    EXPECT_EQ(try_in_dir("$imgfs verify plain.img").status, 0);
    in_dir(std::string(kFlip) + "flip plain.img 2000000");
    const auto result = try_in_dir("$imgfs verify plain.img");
    EXPECT_EQ(result.status, 3);
    EXPECT_NE(result.output.find("damaged: "), std::string::npos) << result.output;
    EXPECT_NE(result.output.find("block"), std::string::npos) << result.output;
    EXPECT_EQ(try_in_dir("$imgfs restore plain.img disk").status, 1);
    EXPECT_EQ(try_in_dir("test -e disk").status, 1);
}

// What the compressed stream has no checksum over, the image's own has.
TEST_F(BadInputTest, AFlippedByteIsNeverReadWhereTheStreamHasNoChecksum) {
    in_dir("cat web1/*.gz.a? | pigz -dc > plain.img; mkdir none; " + std::string(kFlip) +
           "flip plain.img 2000000; " +
           "zstd -q --no-check -c plain.img > none/zstd; lzop -qF -c plain.img > none/lzop; "
           "lz4 -q --no-frame-crc -c plain.img > none/lz4; "
           "xz -q -0 --check=none -T2 --block-size=4MiB -c plain.img > none/xz; "
           "xz -q -0 --format=lzma -c plain.img > none/lzma; cp plain.img none/plain");
    for (const std::string name : {"zstd", "lzop", "lz4", "xz", "lzma", "plain"}) {
        SCOPED_TRACE(name);
        EXPECT_EQ(try_in_dir("$imgfs verify none/" + name).status, 3);
        EXPECT_EQ(try_in_dir("$imgfs index none/" + name).status % 2, 0) << "the stream is sound";
        EXPECT_EQ(try_in_dir("$imgfs restore none/" + name + " disk").status, 1);
        EXPECT_NE(try_in_dir("rm -f disk; $imgfs mount --raw --read-only none/" + name +
                             " mnt && { cat mnt/partition >/dev/null; status=$?; "
                             "$imgfs umount mnt; exit $status; }")
                      .status,
                  0);
    }
}

TEST_F(BadInputTest, AFlippedByteInTheDeltaIsFoundByVerify) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && head -c 3000000 /dev/urandom > mnt/new && "
        "$imgfs umount mnt && $imgfs verify web1/sda1 | grep 'blocks of the delta'");
    in_dir(std::string(kFlip) + "flip web1/imgfs/sda1.ext4-ptcl-img.gz/000001.layer 1500000");
    const auto result = try_in_dir("$imgfs verify web1/sda1");
    EXPECT_EQ(result.status, 3) << result.output;
    EXPECT_NE(result.output.find("000001.layer"), std::string::npos) << result.output;
    const auto nowhere = try_in_dir("$imgfs restore --delta nowhere web1/sda1 disk");
    EXPECT_EQ(nowhere.status, 1) << nowhere.output;
}

TEST_F(BadInputTest, AFlippedByteInTheBitmapIsDamage) {
    in_dir("cat web1/*.gz.a? | pigz -dc > plain.img; " + std::string(kFlip) + "flip plain.img 500");
    const auto result = try_in_dir("$imgfs verify plain.img");
    EXPECT_EQ(result.status, 3);
    EXPECT_NE(result.output.find("bitmap"), std::string::npos) << result.output;
    EXPECT_EQ(try_in_dir("$imgfs ls plain.img").status, 1);
}

TEST_F(BadInputTest, AHeaderWithAbsurdSizesIsRefusedAtOnce) {
    // totalblock = 2^60, with the header's checksum made right again.
    in_dir(
        "cat web1/*.gz.a? | pigz -dc > plain.img; python3 - <<'EOF'\n"
        "import zlib\n"
        "f = open('plain.img', 'r+b'); h = bytearray(f.read(110))\n"
        "h[60:68] = (1 << 60).to_bytes(8, 'little')\n"
        "h[106:110] = (zlib.crc32(bytes(h[:106])) ^ 0xffffffff).to_bytes(4, 'little')\n"
        "f.seek(0); f.write(h)\nEOF");
    const auto result = try_in_dir("$imgfs info plain.img");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("plain.img"), std::string::npos) << result.output;
}

TEST_F(BadInputTest, WhatIsNoImageIsRefused) {
    in_dir("echo 'not an image' > letter.txt");
    const auto result = try_in_dir("$imgfs mount letter.txt mnt");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("not an image"), std::string::npos) << result.output;
    in_dir("head -c 1M /dev/urandom > noise");
    EXPECT_EQ(try_in_dir("$imgfs mount noise mnt").status, 1);
    EXPECT_EQ(try_in_dir("$imgfs mount nothing mnt").status, 1);
}

TEST_F(BadInputTest, BytesThatSayNothingAreDoubtedAndALaterPartIsNoPartition) {
    in_dir("head -c 2M /dev/urandom > noise; split -b 1M -d -a 3 noise disk.; rm disk.000");
    EXPECT_NE(try_in_dir("$imgfs verify noise").output.find("nothing in them says what it is"),
              std::string::npos);
    const auto result = try_in_dir("$imgfs restore disk.001 target");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("disk.000: this part of the image is missing"), std::string::npos)
        << result.output;
}

TEST_F(BadInputTest, LrzipIsRefusedWithTheCommandThatConvertsIt) {
    in_dir("cat web1/*.gz.a? | pigz -dc >web && lrzip -q -o web.lrz web");
    const auto result = try_in_dir("$imgfs info web.lrz");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("lrzip -dqo -"), std::string::npos) << result.output;
}

TEST_F(BadInputTest, ASecondWriterIsToldOfTheFirst) {
    in_dir("mkdir second; $imgfs mount web1/sda1 mnt");
    const auto result = try_in_dir("$imgfs mount web1/sda1 second");
    EXPECT_EQ(result.status, 4);
    for (const auto* part :
         {"in use read/write by", "pid ", "/mnt", "--read-only", "imgfs umount"}) {
        EXPECT_NE(result.output.find(part), std::string::npos) << part << ": " << result.output;
    }
    in_dir("$imgfs mount --read-only web1/sda1 second && ls second/etc && $imgfs umount second");
    in_dir("$imgfs umount mnt");
}

TEST_F(BadInputTest, ADeltaOfAnotherImageIsRefused) {
    in_dir("$imgfs mount web1/sda1 mnt && touch mnt/mine && $imgfs umount mnt");
    make_real_image((dir() / "tree").string(), (dir() / "web2").string(), "-t ext4 -L other");
    const auto result =
        try_in_dir("$imgfs mount --delta web1/imgfs/sda1.ext4-ptcl-img.gz web2/sda1 mnt");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("another image"), std::string::npos) << result.output;
}

TEST_F(BadInputTest, AFullDeltaFolderIsNoSpaceAndHarmsNothing) {
    in_dir(
        "mkdir small && mount -t tmpfs -o size=12M none small && $imgfs mount --delta small/d "
        "web1/sda1 mnt && echo first > mnt/first && $imgfs sync mnt");
    const auto full = try_in_dir("head -c 40000000 /dev/urandom > mnt/large");
    EXPECT_NE(full.status, 0);
    EXPECT_NE(full.output.find("No space left"), std::string::npos) << full.output;
    EXPECT_EQ(in_dir("cat mnt/first"), "first\n");
    // Even that may need space, to note what is free.
    in_dir("rm mnt/large 2>why || grep 'No space left' why; $imgfs umount mnt");
    in_dir("$imgfs restore --delta small/d web1/sda1 disk && e2fsck -fn disk");
    EXPECT_EQ(in_dir("$imgfs cat --delta small/d web1/sda1 /first 2>/dev/null"), "first\n");
    in_dir("umount small");
}

TEST_F(BadInputTest, AFullPartitionIsNoSpaceAndStaysClean) {
    in_dir("$imgfs mount web1/sda1 mnt");
    const auto full = try_in_dir("head -c 200M /dev/urandom > mnt/large");
    EXPECT_NE(full.output.find("No space left"), std::string::npos) << full.output;
    in_dir("rm mnt/large && echo more > mnt/more");
    // Whoever writes learns of it at once, not at close, where neither of these looks.
    const auto endless =
        try_in_dir("timeout 120 dd if=/dev/zero of=mnt/fill bs=64k && echo endless");
    EXPECT_NE(endless.output.find("No space left"), std::string::npos) << endless.output;
    in_dir(
        "touch taken; for i in $(seq 100); do echo data $i > mnt/s$i && echo $i >> taken; done "
        "2>/dev/null; $imgfs umount mnt && $imgfs mount web1/sda1 mnt && "
        "for i in $(cat taken); do test \"$(cat mnt/s$i)\" = \"data $i\" || exit 1; done && "
        "$imgfs umount mnt");
    expect_restores_clean();
}

TEST_F(BadInputTest, TheImageItselfIsNoTargetOfARestore) {
    const auto before = image_hash();
    for (const auto* target :
         {"web1/sda1.ext4-ptcl-img.gz.aa", "link", "web1/imgfs/sda1.ext4-ptcl-img.gz/index"}) {
        const auto result = try_in_dir(
            "ln -sf web1/sda1.ext4-ptcl-img.gz.ab link; $imgfs ls web1/sda1 && "
            "$imgfs restore --overwrite web1/sda1 " +
            std::string(target));
        EXPECT_EQ(result.status, 1) << result.output;
        EXPECT_NE(result.output.find("belongs to the image"), std::string::npos) << result.output;
    }
    EXPECT_EQ(image_hash(), before);
}

TEST_F(BadInputTest, ATooSmallOrFullTargetOfRestoreIsRefused) {
    in_dir("mkdir small && mount -t tmpfs -o size=2M none small");
    const auto full = try_in_dir("$imgfs restore web1/sda1 small/disk");
    EXPECT_EQ(full.status, 1);
    EXPECT_NE(full.output.find("No space left"), std::string::npos) << full.output;
    EXPECT_EQ(in_dir("ls small; umount small"), "");
    const auto device = try_in_dir(
        "truncate -s 50M dev && d=$(losetup -f --show dev) && $imgfs restore --yes web1/sda1 $d; "
        "s=$?; losetup -d $d; exit $s");
    EXPECT_EQ(device.status, 1);
    EXPECT_NE(device.output.find("choose a larger target"), std::string::npos) << device.output;
    in_dir("echo precious > file");
    EXPECT_EQ(try_in_dir("$imgfs restore web1/sda1 file").status, 2);
    EXPECT_EQ(in_dir("cat file"), "precious\n");
}

}  // namespace
}  // namespace imgfs
