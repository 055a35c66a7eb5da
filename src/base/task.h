// Task: the coroutine that one request is. Used by pipeline and by what awaits storage, the record
// or a pool; engines and policy are plain functions.
//
// A Task starts when it is awaited, or when start() hands it a callback. It runs on whichever
// thread resumes it: awaitables made with suspend() are resumed by their completion callback, which
// must post to the owning io thread first (see net/executor.h). Never hold a view into the store or
// a lock across co_await.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "base/check.h"

namespace rekey::base {

template <class T>
class [[nodiscard]] Task {
 public:
  struct promise_type {
    std::optional<T> value;
    std::coroutine_handle<> waiter;
    std::function<void(T&&)> on_done;  // instead of a waiter, for a detached task

    Task get_return_object() { return Task(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        auto& promise = self.promise();
        if (promise.on_done) {
          auto on_done = std::move(promise.on_done);
          T value = std::move(*promise.value);
          self.destroy();
          on_done(std::move(value));
          return std::noop_coroutine();
        }
        return promise.waiter;
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    template <class U = T>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
    void unhandled_exception() { std::terminate(); }  // our code doesn't throw
  };
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task(const Task&) = delete;
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Runs the task on its own; `on_done` is called once, on the thread where it finished.
  void start(std::function<void(T&&)> on_done) && {
    Handle handle = std::exchange(handle_, nullptr);
    handle.promise().on_done = std::move(on_done);
    handle.resume();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
    handle_.promise().waiter = waiter;
    return handle_;
  }
  T await_resume() { return std::move(*handle_.promise().value); }

 private:
  explicit Task(Handle handle) : handle_(handle) {}
  Handle handle_;
};

// Turns a callback interface into something to co_await:
//   auto r = co_await suspend<Result<uint64_t>>([&](auto done) { store.commit(b, done); });
// `begin` gets a copyable callback that must be called exactly once, at any time, also before
// `begin` returns, but always on the thread on which the coroutine is to go on.
template <class T, class Begin>
class Suspend {
 public:
  explicit Suspend(Begin begin) : begin_(std::move(begin)) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    starting_ = true;
    begin_([this](T value) {
      value_.emplace(std::move(value));
      if (!starting_) waiter_.resume();  // else: called before begin returned, nothing to resume
    });
    starting_ = false;
    return !value_.has_value();
  }
  T await_resume() { return std::move(*value_); }

 private:
  Begin begin_;
  std::optional<T> value_;
  std::coroutine_handle<> waiter_;
  bool starting_ = false;
};

template <class T, class Begin>
Suspend<T, Begin> suspend(Begin begin) {
  return Suspend<T, Begin>(std::move(begin));
}

}  // namespace rekey::base
