// Causal linear attention on the CPU in float32: forward, backward and one decode step, called by calls.py.
#include <algorithm>
#include <memory>

#include "parallel.h"
#include "passes.h"

namespace {

constexpr int64_t GROUP_FLOATS = 64 * 1024;  // total size of the states that one worker processes together: fits in L2

// Returns the number of heads that a worker processes together, chunk by chunk: the rows of neighbouring heads share
// pages and form one stream. The number is limited so that no worker gets more heads than without grouping.
int64_t heads_per_group(int64_t heads, int64_t threads, int64_t state_floats) {
    const auto rounds = [](int64_t n, int64_t size) { return (n + size - 1) / size; };
    int64_t group = std::max<int64_t>(1, std::min(heads, GROUP_FLOATS / state_floats));
    while (group > 1 && rounds(rounds(heads, group), threads) * group > rounds(heads, threads)) group--;
    return group;
}

// Runs a pass over every head. If T is split into segments, their states are first summed separately, then scanned.
template <class Recurrence>
void run(const Problem& p) {
    const int64_t heads = p.B * p.H, segments = (p.T + p.segment - 1) / p.segment, before = segments - 1;
    const int64_t floats = Recurrence::state_floats(p);
    const int64_t group = before ? 1 : heads_per_group(heads, p.threads, floats), groups = (heads + group - 1) / group;
    std::vector<std::unique_ptr<Recurrence>> workers(std::min(p.threads, groups * segments));
    for (auto& worker : workers) worker = std::make_unique<Recurrence>(p);  // allocated here, where it may throw
    Buffer states(workers.size() * group, floats), sums(heads * before, floats);  // per worker and per segment

    const auto begin = [&](Recurrence& pass, int64_t head, float* state, bool first) {
        std::memset(state, 0, floats * sizeof(float));
        pass.go_to(head, state);
        *pass.decay = 1;
        if (first) pass.read_state();
    };
    const auto walk = [&](Recurrence& pass, int64_t head, int64_t count, float* state, int64_t segment, bool outputs,
                          bool advances) {
        const int64_t index = Recurrence::back_in_time ? before - segment : segment;
        const int64_t first = index * p.segment, last = std::min(p.T, first + p.segment);
        for (int64_t offset = 0, tokens = 0; offset < last - first; offset += tokens) {
            // Chunks end at the segment's ends and at multiples of C, so they are the same in both directions.
            const int64_t room = Recurrence::back_in_time ? (last - 1 - offset) % C + 1 : C - (first + offset) % C;
            tokens = std::min(room, last - first - offset);
            const Span span =
                Recurrence::back_in_time ? Span{last - 1 - offset, tokens, -1} : Span{first + offset, tokens, 1};
            for (int64_t i = 0; i < count; i++) {
                pass.go_to(head + i, state + i * floats);
                pass.step(span, outputs, advances || offset + tokens < last - first);
            }
        }
    };
    if (before) {
        parallel(p.threads, heads * before, [&](int64_t worker, int64_t item) {
            const int64_t head = item / before, segment = item % before;
            begin(*workers[worker], head, sums.row(item), segment == 0);
            walk(*workers[worker], head, 1, sums.row(item), segment, false, true);
        });
        parallel(p.threads, heads, [&](int64_t worker, int64_t head) {
            for (int64_t segment = 1; segment < before; segment++) {
                const float* from = sums.row(head * before + segment - 1);
                float* to = sums.row(head * before + segment);
                workers[worker]->go_to(head, to);
                const float decay = *workers[worker]->decay;
                for (int64_t i = 0; i < floats; i++) to[i] += decay * from[i];
            }
        });
    }
    parallel(p.threads, groups * segments, [&](int64_t worker, int64_t item) {
        Recurrence& pass = *workers[worker];
        const int64_t segment = item % segments, head = item / segments * group, count = std::min(group, heads - head);
        const bool ends = segment == before && pass.needs_final_state();
        float* state = segment ? sums.row(head * before + segment - 1) : states.row(worker * group);
        for (int64_t i = 0; segment == 0 && i < count; i++) begin(pass, head + i, state + i * floats, true);
        walk(pass, head, count, state, segment, true, ends);
        for (int64_t i = 0; ends && i < count; i++) {
            pass.go_to(head + i, state + i * floats);
            pass.write_state();
        }
    });
}

template <class Work>
int guarded(Work work) {
    try {
        work();
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

}  // namespace

extern "C" int linear_attention_forward(const Problem* p) {
    return guarded([&] { run<Forward>(*p); });
}

extern "C" int linear_attention_backward(const Problem* p) {
    return guarded([&] {
        Problem problem = *p;
        const int64_t boundaries = problem.flows ? problem.boundaries() : 0;
        const Buffer states(problem.B * problem.H * boundaries, padded(problem.V + 1) * padded(problem.K));
        problem.states = states.data;
        run<Queries>(problem);
        run<Keys>(problem);
    });
}

// One token: computes o and S_out = e^g S_in + phi(k) v^T in one pass over the state; S_out may be S_in.
extern "C" int linear_attention_decode(const Problem* problem) {
    const Problem& p = *problem;
    return guarded([&] {
        const int64_t heads = p.B * p.H, useful = 1 + heads * p.K * p.V / 32768, team = std::min(p.threads, useful);
        Buffer features(2 * team, padded(p.K));
        parallel(team, heads, [&](int64_t worker, int64_t index) {
            const Head head{p, index / p.H, index % p.H};
            const Matrix q{features.row(2 * worker), features.ld}, k{features.row(2 * worker + 1), features.ld};
            head.read_features(p.q, {0, 1, 1}, q);
            head.read_features(p.k, {0, 1, 1}, k);
            const float decay = p.log_decay.data ? std::exp(*p.log_decay.row(head.b, 0, head.h)) : 1;

            float denominator = EPSILON;
            for (int64_t d = 0; d < p.K; d++) {
                const float z = p.z_in[index * p.K + d] * decay + k.data[d];
                p.z_out[index * p.K + d] = z;
                denominator += TERM(q.data[d], z);
            }
            const float factor = p.normalize ? 1 / denominator : 1;

            const float *v = p.v.row(head.b, 0, head.h), *S = p.S_in + index * p.K * p.V;
            float *o = p.o.row(head.b, 0, head.h), *S_out = p.S_out + index * p.K * p.V;
            const int64_t aligned = p.V / W * W;
            for_panels(aligned, [&](auto vectors, int64_t column) {
                Vector values[vectors], sums[vectors] = {};
                for (int j = 0; j < vectors; j++) values[j] = load(v + column + j * W);
                for (int64_t d = 0; d < p.K; d++)
                    for (int j = 0; j < vectors; j++) {
                        const int64_t offset = d * p.V + column + j * W;
                        const Vector entry = load(S + offset) * decay + TERM(values[j], k.data[d]);
                        store(S_out + offset, entry);
                        sums[j] += TERM(entry, q.data[d]);
                    }
                for (int j = 0; j < vectors; j++) store(o + column + j * W, sums[j] * factor);
            });
            for (int64_t column = aligned; column < p.V; column++) {
                float total = 0;
                for (int64_t d = 0; d < p.K; d++) {
                    const float entry = S[d * p.V + column] * decay + TERM(v[column], k.data[d]);
                    S_out[d * p.V + column] = entry;
                    total += TERM(entry, q.data[d]);
                }
                o[column] = total * factor;
            }
        });
    });
}
