// Work shared out over threads: over torch's own pool, if it is OpenMP's.
//
// torch keeps its OpenMP runtime in the global scope, where this weak symbol finds it whatever compiler built this
// file. A second pool would fight with torch's workers, which go on spinning for a while after every torch operation.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

extern "C" void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned) __attribute__((weak));

// Calls work(worker, item) for every item below `items`, each worker on a thread of its own.
template <class Work>
void parallel(int64_t threads, int64_t items, Work work) {
    struct Shared {
        Work& work;
        const int64_t items;
        std::atomic<int64_t> next_item{0}, next_worker{0};
        static void run(void* given) {
            Shared& shared = *static_cast<Shared*>(given);
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
        std::vector<std::thread> others;
        for (int64_t i = 1; i < team; i++) others.emplace_back(Shared::run, &shared);
        Shared::run(&shared);
        for (std::thread& other : others) other.join();
    }
}
