// Batches: `batch_input` in a request, `batch_results` in its answer, and the status that an answer
// with failed items has.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "logical/context.h"

namespace rekey::engine::transit {

inline constexpr size_t kBatchItemsMax = 50'000;  // of one request

// One item, or the request itself where it is no batch. Views into the request.
class Item {
 public:
  Item(const logical::Fields* fields, const base::JsonObject* object)
      : fields_(fields), object_(object) {}
  bool has(std::string_view name) const;
  std::string_view text(std::string_view name) const;  // empty where it is missing
  int64_t integer(std::string_view name) const;
  std::string_view reference() const { return text("reference"); }

 private:
  const logical::Fields* fields_;   // of a request that is no batch
  const base::JsonObject* object_;  // of an item of a batch
};

struct Items {
  std::vector<Item> items;
  bool batch = false;  // one answer a item, under batch_results
};

// The items of a request; of a batch each is an object whose named members have the types that they
// must have, and has the members that `required` names ("missing ... to encrypt" is `missing`).
// kInvalid otherwise.
base::Result<Items> read_items(const logical::Context& context, std::string_view required = {},
                               std::string_view missing = {});

// Sets the status of a batch's answer with so many items failed: 400, or the request's
// partial_failure_response_code where only some failed. A code that is none is 400 and a warning.
void set_batch_status(const logical::Context& context, size_t items, size_t failed,
                      logical::Response& response);

// One result after another, as one answer or as batch_results.
class Results {
 public:
  // `input` names the member that the answers are about as long as: there is room for them then.
  Results(const logical::Context& context, const Items& items, std::string_view input = {});

  // The result's members go between begin() and end(), which adds the item's reference.
  base::JsonWriter& begin();
  base::JsonWriter& begin_failed();
  void end(const Item& item);
  // A whole result of an item that failed; `empty` is a member that shows as "" all the same.
  void failed(const Item& item, const base::Error& error, std::string_view empty = {});

  logical::Response finish();
  // The same, with the status that failed items give a batch.
  logical::Response finish_with_status();

 private:
  const logical::Context& context_;
  bool batch_;
  size_t count_ = 0, failed_ = 0;
  logical::Response response_;
  base::JsonWriter json_{response_.data};
};

}  // namespace rekey::engine::transit
