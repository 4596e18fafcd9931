#include "fs/source/inflater.h"

namespace imgfs {

std::unique_ptr<Inflater> make_inflater(InflateEngine engine, Stops stops) {
    auto fastest = engine == InflateEngine::fastest ? make_isal_inflater() : nullptr;
    return fastest ? std::move(fastest) : make_zlib_inflater(stops);
}

}  // namespace imgfs
