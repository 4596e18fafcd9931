// What every codec does with streams that are damaged, cut short or meant ill.
// IMGFS_DAMAGE_SCALE=20 in the environment makes 20 times as many of each damage as the tests ask
// for.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

/// After each of `count` flips of one bit, a pass ends with EUCLEAN that names a place, or tells of
/// a mismatch, or every byte that isn't lost is right; so is all that a Decoder gives out. For
/// streams with checksums over everything.
void expect_bit_flips_are_found(const Codec& codec, ConstByteSpan packed, ConstByteSpan plain,
                                int count);

/// The same with the right bytes not asked for: for streams without checksums.
void expect_bit_flips_do_no_harm(const Codec& codec, ConstByteSpan packed, int count);

/// Cut at `count` places, what still is known as the codec's is said to end too early; for streams
/// that nothing but their end can end.
void expect_truncation_is_told(const Codec& codec, ConstByteSpan packed, int count);

/// Points with other places and states than the pass found end in bytes or EUCLEAN.
void expect_forged_points_do_no_harm(const Codec& codec, ConstByteSpan packed, int count);

/// Zeros behind the end are passed over, anything else is EUCLEAN.
void expect_garbage_behind_is_told(const Codec& codec, ConstByteSpan packed, ConstByteSpan plain);

}  // namespace imgfs
