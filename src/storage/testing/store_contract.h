// The suite that every Store driver passes, whatever it keeps its rows in. In the driver's test:
//   INSTANTIATE_TEST_SUITE_P(Memory, StoreContract, testing::Values(StoreKind{"memory", make}),
//                            kind_name);
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "storage/store.h"

namespace rekey::storage {

// A fresh, empty store and whatever it needs around it.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual Store& store() = 0;
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
};

// Names the instances. (Also what makes the linker take the suite out of its library.)
std::string kind_name(const testing::TestParamInfo<StoreKind>& info);

class StoreContract : public testing::TestWithParam<StoreKind> {
 protected:
  StoreContract();
  ~StoreContract() override;

  Store& store() { return under_test_->store(); }
  // Fails the test if the batch isn't committed.
  Revision put(std::string key, std::string value);
  Revision erase(std::string key);
  // "value@revision", or "absent": through a fresh Reader.
  std::string row(std::string_view key);
  uint64_t rows();                 // through a fresh Reader
  ErrorKind refused(Batch batch);  // kInternal with a failed test if it was committed

 private:
  std::unique_ptr<StoreUnderTest> under_test_;
};

}  // namespace rekey::storage
