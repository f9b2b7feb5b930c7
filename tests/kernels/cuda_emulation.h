// Runs CUDA C++ device code on the CPU: every CUDA thread of a block is a fiber; blocks run one after another.
//
// A fiber runs until it reaches a barrier (__syncthreads) or a warp collective (shuffle, mma.sync, ldmatrix), where it
// waits for its block or warp. Collectives exchange registers in the true fragment layout, so a kernel with a wrong
// layout fails here too. The emulation provokes behaviour of a GPU that a naive emulation would hide:
//   * between barriers a warp runs as far as possible before the next one starts, in ascending or descending order:
//     a missing barrier is visible in one of the two orders;
//   * asynchronous copies complete immediately or only at the wait: missing waits and early reuse of buffers are visible;
//   * dynamic shared memory is initialised with NaN and followed by a guard that must not change;
//   * a barrier that not all threads reach is reported and does not hang.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace emulation {

constexpr int WARP = 32, REGISTERS = 8;
constexpr std::size_t STACK_BYTES = 128 << 10, GUARD_BYTES = 1024;
constexpr unsigned char POISON = 0xff;  // NaN in every float type

struct Copy {
    void* to;
    const void* from;
    std::size_t size;
    bool valid;
    void complete() const { valid ? (void)std::memcpy(to, from, size) : (void)std::memset(to, 0, size); }
};

struct Fiber {
    ucontext_t entry;
    jmp_buf resume;
    std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
    bool started, finished;
    unsigned collectives;  // number of collectives that the thread has joined
    std::vector<Copy> copies;
};

// A reusable barrier of a fixed number of fibers.
struct Rendezvous {
    int expected = 0, arrived = 0;
    unsigned round = 0;
};

struct Warp {
    Rendezvous meeting;
    // The registers of each lane in the current collective and in the previous one: a lane may run ahead by one.
    std::uint64_t registers[2][WARP][REGISTERS];
};

inline std::vector<Fiber> fibers;
inline std::vector<Warp> warps;
inline Rendezvous block_meeting;
inline std::function<void()> body;
inline jmp_buf scheduler;
inline ucontext_t scheduler_context;
inline int current;
inline bool progressed, copies_wait;
inline const char* problem;
inline std::int64_t flops;  // operations of the mma and fmaf of a launch, two per multiply-add
inline unsigned char* shared_memory;
inline dim3 thread_index, block_index, grid_size;

inline void yield() {
    if (_setjmp(fibers[current].resume) == 0) _longjmp(scheduler, 1);
}

inline void meet(Rendezvous& meeting) {
    const unsigned round = meeting.round;
    if (++meeting.arrived == meeting.expected) {
        meeting.arrived = 0;
        ++meeting.round;
        progressed = true;
    }
    while (meeting.round == round) yield();
}

inline void start() {
    body();
    fibers[current].finished = progressed = true;
    _longjmp(scheduler, 1);
}

inline void run(int fiber) {
    current = fiber;
    thread_index = {unsigned(fiber), 0, 0};
    Fiber& state = fibers[fiber];
    if (_setjmp(scheduler) != 0) return;
    if (state.started) _longjmp(state.resume, 1);
    state.started = true;
    setcontext(&state.entry);
}

// Runs a warp as far as possible on its own, so that warps are as far apart as the barriers allow.
inline bool run_warp(int warp, bool descending, int& unfinished) {
    const int first = warp * WARP, lanes = std::min(WARP, int(fibers.size()) - first);
    for (bool any_progress = false;; any_progress = true) {
        progressed = false;
        for (int i = 0; i < lanes; ++i) {
            const int fiber = first + (descending ? lanes - 1 - i : i);
            if (fibers[fiber].finished) continue;
            run(fiber);
            unfinished -= fibers[fiber].finished;
        }
        if (!progressed) return any_progress;
    }
}

inline void run_block(int threads, bool descending) {
    block_meeting = {threads};
    warps.assign((threads + WARP - 1) / WARP, Warp{});
    for (Warp& warp : warps) warp.meeting.expected = WARP;
    for (Fiber& fiber : fibers) {
        fiber.started = fiber.finished = false;
        fiber.collectives = 0;
        fiber.copies.clear();
        getcontext(&fiber.entry);
        fiber.entry.uc_stack.ss_sp = fiber.stack.get();
        fiber.entry.uc_stack.ss_size = STACK_BYTES;
        fiber.entry.uc_link = &scheduler_context;
        makecontext(&fiber.entry, start, 0);
    }
    const int count = int(warps.size());
    for (int unfinished = threads; unfinished > 0 && !problem;) {
        bool any_progress = false;
        for (int i = 0; i < count; ++i)
            any_progress |= run_warp(descending ? count - 1 - i : i, descending, unfinished);
        if (!any_progress) problem = "a barrier or warp collective was not reached by all of its threads";
    }
}

inline const char* launch(const unsigned* grid, int threads, std::size_t shared_bytes, bool descending,
                          bool late_copies) {
    problem = nullptr;
    flops = 0;
    copies_wait = late_copies;
    grid_size = {grid[0], grid[1], 1};
    fibers.resize(threads);
    std::vector<unsigned char> memory(shared_bytes + GUARD_BYTES + 128);
    shared_memory = memory.data() + (128 - reinterpret_cast<std::uintptr_t>(memory.data()) % 128);
    for (unsigned y = 0; y < grid[1] && !problem; ++y)
        for (unsigned x = 0; x < grid[0] && !problem; ++x) {
            block_index = {x, y, 0};
            std::memset(shared_memory, POISON, shared_bytes + GUARD_BYTES - 128);
            run_block(threads, descending);
            for (std::size_t i = shared_bytes; i < shared_bytes + GUARD_BYTES - 128; ++i)
                if (shared_memory[i] != POISON) problem = "the kernel wrote past the end of its shared memory";
        }
    return problem;
}

// Calls a kernel with arguments that are all 64 bits wide: pointers and long long.
template <class... Parameters, std::size_t... I>
std::function<void()> with_arguments(void (*kernel)(Parameters...), const std::int64_t* arguments,
                                     std::index_sequence<I...>) {
    return [=] { kernel((Parameters)arguments[I]...); };
}
template <class... Parameters>
std::function<void()> with_arguments(void (*kernel)(Parameters...), const std::int64_t* arguments) {
    static_assert(((sizeof(Parameters) == 8) && ...), "kernel parameters are pointers or long long");
    return with_arguments(kernel, arguments, std::index_sequence_for<Parameters...>{});
}

// Returns the registers of all lanes of the warp; every lane passes its own.
template <class... Values>
inline auto& exchange(Values... values) {
    Warp& warp = warps[current / WARP];
    auto& registers = warp.registers[fibers[current].collectives++ % 2];
    std::uint64_t* lane = registers[current % WARP];
    ((*lane++ = values), ...);
    meet(warp.meeting);
    return registers;
}

inline float from_bf16(std::uint16_t bits) {
    const std::uint32_t word = std::uint32_t(bits) << 16;
    float x;
    std::memcpy(&x, &word, 4);
    return x;
}
inline std::uint16_t to_bf16(float x) {
    std::uint32_t word;
    std::memcpy(&word, &x, 4);
    if (std::isnan(x)) return 0x7fff;
    return std::uint16_t((word + 0x7fff + (word >> 16 & 1)) >> 16);  // round to nearest, ties to even
}
inline float from_f16(std::uint16_t bits) {
    _Float16 x;
    std::memcpy(&x, &bits, 2);
    return float(x);
}
inline std::uint16_t to_f16(float x) {
    const _Float16 rounded = _Float16(x);
    std::uint16_t bits;
    std::memcpy(&bits, &rounded, 2);
    return bits;
}

// mma.sync.m16n8k16. Lane 4 g + t holds
//   a: rows g, g + 8 of columns 2t, 2t + 1; then the same rows of columns 2t + 8, 2t + 9
//   b: rows 2t, 2t + 1 of column g; then rows 2t + 8, 2t + 9
//   d: columns 2t, 2t + 1 of row g; then of row g + 8
template <class Decode>
inline void mma(Decode decode, float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const auto& lanes = exchange(a[0], a[1], a[2], a[3], b0, b1);
    const auto read = [&](int lane, int reg, int half) {
        return decode(std::uint16_t(lanes[lane][reg] >> 16 * half));
    };
    const int group = current % WARP / 4, pair = current % 4;
    float left[2][16], right[2][16];
    for (int i = 0; i < 2; ++i)
        for (int k = 0; k < 16; ++k) {
            left[i][k] = read(group * 4 + k % 8 / 2, i + k / 8 * 2, k % 2);
            right[i][k] = read((2 * pair + i) * 4 + k % 8 / 2, 4 + k / 8, k % 2);
        }
    for (int i = 0; i < 4; ++i) {
        float sum = 0;
        for (int k = 0; k < 16; ++k) sum += left[i / 2][k] * right[i % 2][k];
        flops += 2 * 16;
        d[i] += sum;
    }
}

// Returns row `row` of matrix `matrix`, at the address that lane 8 * matrix + row passes.
template <class Lanes>
inline const std::uint16_t* matrix_row(const Lanes& lanes, int matrix, int row) {
    const std::uint64_t address = lanes[8 * matrix + row][0];
    if (address % 16) problem = "an ldmatrix row is not aligned to 16 bytes";
    return reinterpret_cast<const std::uint16_t*>(address);
}

}  // namespace emulation

extern "C" [[gnu::used]] inline std::int64_t emulated_flops() { return emulation::flops; }

// Defines emulate_<kernel>, which runs a grid and returns null, or an error message.
#define EMULATED_KERNEL(kernel)                                                                                     \
    extern "C" const char* emulate_##kernel(const unsigned* grid, int threads, std::size_t shared_bytes,            \
                                            const std::int64_t* arguments, bool descending, bool late_copies) {     \
        emulation::body = emulation::with_arguments(kernel, arguments);                                             \
        return emulation::launch(grid, threads, shared_bytes, descending, late_copies);                             \
    }

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define threadIdx (emulation::thread_index)
#define blockIdx (emulation::block_index)
#define gridDim (emulation::grid_size)
#define DYNAMIC_SHARED(name) unsigned char* name = emulation::shared_memory

inline void __syncthreads() { emulation::meet(emulation::block_meeting); }
#define fmaf(x, y, z) (emulation::flops += 2, std::fma(x, y, z))
inline float __expf(float x) { return std::exp(x); }
inline float __uint_as_float(unsigned word) {
    float x;
    std::memcpy(&x, &word, 4);
    return x;
}
inline unsigned __float_as_uint(float x) {
    unsigned word;
    std::memcpy(&word, &x, 4);
    return word;
}
inline float __shfl_xor_sync(unsigned, float x, int distance) {
    const auto& lanes = emulation::exchange(__float_as_uint(x));
    return __uint_as_float(unsigned(lanes[emulation::current % emulation::WARP ^ distance][0]));
}

inline unsigned pack_f16(float low, float high) {
    return emulation::to_f16(low) | unsigned(emulation::to_f16(high)) << 16;
}
inline unsigned pack_bf16(float low, float high) {
    return emulation::to_bf16(low) | unsigned(emulation::to_bf16(high)) << 16;
}
inline float2 unpack_f16(unsigned word) {
    return {emulation::from_f16(std::uint16_t(word)), emulation::from_f16(std::uint16_t(word >> 16))};
}
inline float2 unpack_bf16(unsigned word) {
    return {emulation::from_bf16(std::uint16_t(word)), emulation::from_bf16(std::uint16_t(word >> 16))};
}
inline void mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    emulation::mma(emulation::from_f16, d, a, b0, b1);
}
inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    emulation::mma(emulation::from_bf16, d, a, b0, b1);
}
inline void load_matrices(unsigned (&r)[4], const void* row) {
    const auto& lanes = emulation::exchange(reinterpret_cast<std::uint64_t>(row));
    const int group = emulation::current % emulation::WARP / 4, pair = emulation::current % 4;
    for (int i = 0; i < 4; ++i) std::memcpy(&r[i], emulation::matrix_row(lanes, i, group) + 2 * pair, 4);
}
inline void load_matrices_transposed(unsigned (&r)[4], const void* row) {
    const auto& lanes = emulation::exchange(reinterpret_cast<std::uint64_t>(row));
    const int group = emulation::current % emulation::WARP / 4, pair = emulation::current % 4;
    for (int i = 0; i < 4; ++i)
        r[i] = emulation::matrix_row(lanes, i, 2 * pair)[group] |
               unsigned(emulation::matrix_row(lanes, i, 2 * pair + 1)[group]) << 16;
}
inline void copy_asynchronously(const emulation::Copy& copy) {
    if (reinterpret_cast<std::uintptr_t>(copy.to) % copy.size || reinterpret_cast<std::uintptr_t>(copy.from) % copy.size)
        emulation::problem = "an asynchronous copy is not aligned to its size";
    if (emulation::copies_wait) emulation::fibers[emulation::current].copies.push_back(copy);
    else copy.complete();
}
inline void copy_async(void* shared, const void* global, bool valid) {
    copy_asynchronously({shared, global, 16, valid});
}
inline void copy_number_async(float* shared, const float* global, bool valid) {
    copy_asynchronously({shared, global, 4, valid});
}
inline void wait_for_copies() {
    auto& copies = emulation::fibers[emulation::current].copies;
    for (const emulation::Copy& copy : copies) copy.complete();
    copies.clear();
}
