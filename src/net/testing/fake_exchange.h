// Exchanges without sockets, for tests of handlers: a request made of parts, the answer recorded.
// For one thread.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/exchange.h"

namespace rekey::net::testing {

// Posted work runs when the test says so. post() may be called from any thread.
class FakeLoop final : public Loop {
 public:
  void post(std::move_only_function<void()> work) override;
  size_t index() const override { return 0; }
  // Runs what was posted, and what that posts, until nothing is left. How many ran.
  size_t run_posted();

 private:
  std::mutex mutex_;
  std::deque<std::move_only_function<void()>> posted_;
};

// Outlives its Exchange.
class FakeExchange final : public ExchangeOwner {
 public:
  FakeExchange(FakeLoop& loop, std::string method, std::string target, std::string body = {},
               std::vector<std::pair<std::string, std::string>> headers = {});
  FakeExchange(const FakeExchange&) = delete;
  FakeExchange& operator=(const FakeExchange&) = delete;

  PeerInfo& peer() { return peer_; }
  Exchange open() { return Exchange(*this); }  // once
  bool answered() const { return response_.has_value(); }
  bool abandoned() const { return abandoned_; }
  const Response& response() const { return response_.value(); }

  // ExchangeOwner
  const Request& request() const override { return request_; }
  Loop& loop() override { return loop_; }
  void answer(Response response) override { response_ = std::move(response); }
  void abandon() override { abandoned_ = true; }

 private:
  FakeLoop& loop_;
  std::string method_, target_, body_;
  std::vector<std::pair<std::string, std::string>> header_texts_;
  std::vector<Header> headers_;
  PeerInfo peer_;
  Request request_;
  std::optional<Response> response_;
  bool abandoned_ = false;
};

}  // namespace rekey::net::testing
