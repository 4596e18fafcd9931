// NotYet: what is asked for will be known later; try again then.
#pragma once

#include <exception>
#include <functional>
#include <utility>

namespace imgfs {

/// Thrown instead of waiting, on a thread that has said it must not wait (NoWaiting). Nothing has
/// been changed; whoever catches it may do the same again when `over` says true.
class NotYet final : public std::exception {
  public:
    explicit NotYet(std::function<bool()> over) : over_(std::move(over)) {}

    /// Is there any use in trying again? Quick, from any thread, as long as what threw it lives.
    bool over() const { return over_(); }
    const char* what() const noexcept override { return "not yet"; }

  private:
    std::function<bool()> over_;
};

/// While one lives, reads on this thread throw NotYet where they would wait for an indexing pass.
class NoWaiting {
  public:
    NoWaiting();
    NoWaiting(const NoWaiting&) = delete;
    NoWaiting& operator=(const NoWaiting&) = delete;
    ~NoWaiting();

    /// Does one live on this thread?
    static bool is_on();

  private:
    bool before_;
};

}  // namespace imgfs
