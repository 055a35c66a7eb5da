#include "net/testing/fake_exchange.h"

#include "base/check.h"
#include "net/request_target.h"

namespace rekey::net::testing {

void FakeLoop::post(std::move_only_function<void()> work) {
  const std::lock_guard lock(mutex_);
  posted_.push_back(std::move(work));
}

size_t FakeLoop::run_posted() {
  for (size_t count = 0;; count++) {
    std::move_only_function<void()> work;
    {
      const std::lock_guard lock(mutex_);
      if (posted_.empty()) return count;
      work = std::move(posted_.front());
      posted_.pop_front();
    }
    work();
  }
}

FakeExchange::FakeExchange(FakeLoop& loop, std::string method, std::string target, std::string body,
                           std::vector<std::pair<std::string, std::string>> headers)
    : loop_(loop),
      method_(std::move(method)),
      target_(std::move(target)),
      body_(std::move(body)),
      header_texts_(std::move(headers)) {
  for (const auto& [name, value] : header_texts_) headers_.push_back({name, value});
  peer_.address = "127.0.0.1";
  peer_.port = 4711;
  request_.method = method_;
  request_.target = target_;
  REKEY_CHECK(split_request_target(method_, target_, request_.path, request_.query));
  request_.headers = headers_;
  request_.body = body_;
  request_.peer_info = &peer_;
}

}  // namespace rekey::net::testing
