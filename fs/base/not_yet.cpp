#include "fs/base/not_yet.h"

namespace imgfs {
namespace {

thread_local bool no_waiting = false;

}  // namespace

NoWaiting::NoWaiting() : before_(std::exchange(no_waiting, true)) {}

NoWaiting::~NoWaiting() {
    no_waiting = before_;
}

bool NoWaiting::is_on() {
    return no_waiting;
}

}  // namespace imgfs
