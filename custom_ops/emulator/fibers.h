// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Fibers: stacks, and how the processor goes from one to another without a system call.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(ALIKED_EMULATOR_UCONTEXT)
#define ALIKED_EMULATOR_UCONTEXT
#endif
#ifdef ALIKED_EMULATOR_UCONTEXT
#include <ucontext.h>
#else
// Saves the registers that a function must keep on the stack and the stack's pointer in *from; goes on from what an
// earlier call saved in to.
extern "C" void aliked_emulator_switch(void** from, void* to);
#endif

#if defined(ALIKED_EMULATOR_UCONTEXT)
#elif defined(__x86_64__)
asm(R"(
  .pushsection .text
  .weak aliked_emulator_switch
  .hidden aliked_emulator_switch
  .type aliked_emulator_switch, @function
  .p2align 4
aliked_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size aliked_emulator_switch, .-aliked_emulator_switch
  .popsection
)");
#else
asm(R"(
  .pushsection .text
  .weak aliked_emulator_switch
  .hidden aliked_emulator_switch
  .type aliked_emulator_switch, %function
  .p2align 4
aliked_emulator_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .size aliked_emulator_switch, .-aliked_emulator_switch
  .popsection
)");
#endif

namespace emulator {

// Where a fiber, or the thread that runs the fibers, goes on.
class Context {
 public:
  // Makes swap_to start entry, which must not return, on the stack.
  void prepare(unsigned char* stack, size_t bytes, void (*entry)());
  static void swap(Context& from, Context& to);

 private:
#ifdef ALIKED_EMULATOR_UCONTEXT
  ucontext_t state_;
#else
  void* stack_pointer_ = nullptr;
#endif
};

#ifdef ALIKED_EMULATOR_UCONTEXT
inline void Context::prepare(unsigned char* stack, size_t bytes, void (*entry)()) {
  getcontext(&state_);
  state_.uc_stack.ss_sp = stack;
  state_.uc_stack.ss_size = bytes;
  state_.uc_link = nullptr;
  makecontext(&state_, entry, 0);
}
inline void Context::swap(Context& from, Context& to) { swapcontext(&from.state_, &to.state_); }
#else
inline void Context::prepare(unsigned char* stack, size_t bytes, void (*entry)()) {
#ifdef __x86_64__
  constexpr int kWords = 8, kEntry = 6;  // six registers, where to start, and a null address to return to
#else
  constexpr int kWords = 20, kEntry = 11;
#endif
  const uintptr_t top = reinterpret_cast<uintptr_t>(stack + bytes) & ~uintptr_t{15};
  uint64_t* frame = reinterpret_cast<uint64_t*>(top) - kWords;
  std::memset(frame, 0, kWords * sizeof(*frame));
  frame[kEntry] = reinterpret_cast<uintptr_t>(entry);
  stack_pointer_ = frame;
}
inline void Context::swap(Context& from, Context& to) {
  aliked_emulator_switch(&from.stack_pointer_, to.stack_pointer_);
}
#endif

// Stacks for a block's threads; a page gets memory when it is first written.
class Stacks {
 public:
  static constexpr size_t kBytes = size_t{1} << 16;

  explicit Stacks(size_t count) : size_(count * kStride) {
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::fprintf(stderr, "emulator: no memory for %zu stacks\n", count);
      std::abort();
    }
    memory_ = static_cast<unsigned char*>(memory);
  }
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks() { munmap(memory_, size_); }

  unsigned char* operator[](size_t index) { return memory_ + index * kStride; }
  // The lowest word of a stack stays zero unless it overflowed.
  bool intact(size_t count) {
    for (size_t index = 0; index < count; ++index) {
      uint64_t lowest;
      std::memcpy(&lowest, (*this)[index], sizeof(lowest));
      if (lowest != 0) return false;
    }
    return true;
  }

 private:
  // Not a power of two: the tops of the stacks would share a few lines of the caches.
  static constexpr size_t kStride = kBytes + 17 * 64;
  size_t size_;
  unsigned char* memory_;
};

}  // namespace emulator
