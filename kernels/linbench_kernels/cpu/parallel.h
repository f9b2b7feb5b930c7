// Distributes work over threads: over torch's own pool if torch uses OpenMP.
//
// torch loads its OpenMP runtime into the global scope, where this weak symbol resolves to it, whichever compiler built
// this file. A second pool would compete with torch's workers, which keep spinning for a while after every operation.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

extern "C" void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned) __attribute__((weak));

// Calls work(worker, item) for every item below `items`; each worker has its own thread.
template <class Work>
void parallel(int64_t threads, int64_t items, Work work) {
    struct Shared {
        Work& work;
        const int64_t items;
        std::atomic<int64_t> next_item{0}, next_worker{0};
        static void run(void* argument) {
            Shared& shared = *static_cast<Shared*>(argument);
            const int64_t worker = shared.next_worker++;
            for (int64_t item; (item = shared.next_item++) < shared.items;) shared.work(worker, item);
        }
    } shared{work, items};
    const int64_t team = threads < items ? threads : items;
    if (team <= 1) {
        Shared::run(&shared);
    } else if (GOMP_parallel) {
        GOMP_parallel(Shared::run, &shared, static_cast<unsigned>(team), 0);
    } else {
        std::vector<std::thread> pool;
        for (int64_t i = 1; i < team; i++) pool.emplace_back(Shared::run, &shared);
        Shared::run(&shared);
        for (std::thread& thread : pool) thread.join();
    }
}
