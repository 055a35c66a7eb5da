#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

// There where the program was built with a sanitizer.
extern "C" [[gnu::weak]] void __asan_init();
extern "C" [[gnu::weak]] void __tsan_init();

namespace rekey::base {
namespace {

// Sanitizers bring an allocator of their own.
bool own_allocator() { return __asan_init == nullptr && __tsan_init == nullptr; }

// As the compiler can't see through it, it leaves out no pair of new and delete.
unsigned char* take(size_t size) {
  void* block = ::operator new(size);
  asm volatile("" : "+r"(block) : : "memory");
  return static_cast<unsigned char*>(block);
}

void give_back(void* block) {
  asm volatile("" : "+r"(block) : : "memory");
  ::operator delete(block);
}

constexpr size_t kSizes[] = {1, 8, 24, 25, 40, 41, 100, 1'000, 1'033, 4'000, 8'144};

TEST(WipingHeap, WhatIsTakenAgainIsWiped) {
  if (!own_allocator()) GTEST_SKIP();
  for (size_t size : kSizes) {
    unsigned char* block = take(size);
    std::memset(block, 0xaa, size);
    give_back(block);
    unsigned char* again = take(size);
    EXPECT_EQ(again, block) << size;  // or it isn't told what the next line says
    EXPECT_EQ(std::count(again, again + size, 0), static_cast<long>(size)) << size;
    give_back(again);
  }
}

TEST(WipingHeap, BlocksNeverOverlap) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<unsigned char*, size_t>> blocks;
    for (size_t i = 0; i < 2'000; ++i) {
      const size_t size = 1 + (i * 7'919) % 10'000;
      blocks.emplace_back(take(size), size);
      std::memset(blocks.back().first, static_cast<int>(i & 0xff), size);
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto [block, size] = blocks[i];
      const auto wrong = std::find_if(block, block + size, [&](unsigned char byte) {
        return byte != static_cast<unsigned char>(i & 0xff);
      });
      ASSERT_EQ(wrong, block + size);
      give_back(block);
    }
  }
}

TEST(WipingHeap, ThreadsFreeWhatOthersMade) {
  std::vector<unsigned char*> blocks;
  std::thread maker([&] {
    for (size_t i = 0; i < 500; ++i) blocks.push_back(take(300));
  });
  maker.join();
  std::thread taker([&] {
    for (unsigned char* block : blocks) give_back(block);
  });
  taker.join();
}

TEST(WipingHeapDeathTest, FreeingTwiceStopsTheProgram) {
  if (!own_allocator()) GTEST_SKIP();
  EXPECT_DEATH(
      {
        unsigned char* block = take(300);
        give_back(block);
        give_back(block);
      },
      "");
}

}  // namespace
}  // namespace rekey::base
