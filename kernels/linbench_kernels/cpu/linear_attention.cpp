// Causal linear attention on the CPU, float32: forward, backward and one step of decoding, for the launcher.
#include <algorithm>
#include <memory>

#include "parallel.h"
#include "passes.h"

namespace {

// Runs a pass over every head. If T is cut into segments, their states are summed apart first, then scanned.
template <class Recurrence>
void run(const Problem& p) {
    const int64_t heads = p.B * p.H, segments = (p.T + p.segment - 1) / p.segment, before = segments - 1;
    const int64_t floats = Recurrence::state_floats(p);
    Buffer states(heads * before, floats), decays(heads, segments);
    std::vector<std::unique_ptr<Recurrence>> workers(std::min(p.threads, heads * segments));
    for (auto& worker : workers) worker = std::make_unique<Recurrence>(p);  // here, where it may throw

    const auto walk = [&](Recurrence& pass, int64_t segment, bool outputs, bool advances) {
        const int64_t place = Recurrence::back_in_time ? before - segment : segment;
        const int64_t first = place * p.segment, last = std::min(p.T, first + p.segment);
        for (int64_t done = first; done < last; done += C) {
            const int64_t count = std::min<int64_t>(C, last - done);
            const bool more = done + count < last;
            const Span span = Recurrence::back_in_time ? Span{last - 1 - (done - first), count, -1} : Span{done, count, 1};
            pass.step(span, outputs, more || advances);
        }
    };
    if (before) {
        parallel(p.threads, heads * before, [&](int64_t worker, int64_t item) {
            Recurrence& pass = *workers[worker];
            pass.begin(item / before);
            if (item % before == 0) pass.read_state();
            walk(pass, item % before, false, true);
            std::memcpy(states.row(item), pass.state.data, floats * sizeof(float));
            decays.row(item / before)[item % before] = pass.decay;
        });
        parallel(p.threads, heads, [&](int64_t, int64_t head) {
            for (int64_t segment = 1; segment < before; segment++) {
                const float decay = decays.row(head)[segment];
                const float* from = states.row(head * before + segment - 1);
                float* to = states.row(head * before + segment);
                for (int64_t i = 0; i < floats; i++) to[i] += decay * from[i];
            }
        });
    }
    parallel(p.threads, heads * segments, [&](int64_t worker, int64_t item) {
        Recurrence& pass = *workers[worker];
        const int64_t head = item / segments, segment = item % segments;
        pass.begin(head);
        if (segment)
            std::memcpy(pass.state.data, states.row(head * before + segment - 1), floats * sizeof(float));
        else
            pass.read_state();
        const bool last = segment == before && pass.wants_state();
        walk(pass, segment, true, last);
        if (last) pass.write_state();
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
        run<Queries>(*p);
        run<Keys>(*p);
    });
}

// One token: o, and S_out = e^g S_in + phi(k) v^T, which may be S_in, in one walk over the state.
extern "C" int linear_attention_decode(const Problem* given) {
    const Problem& p = *given;
    return guarded([&] {
        const int64_t heads = p.B * p.H, enough = 1 + heads * p.K * p.V / 32768, team = std::min(p.threads, enough);
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
                denominator += q.data[d] * z;
            }
            const float factor = p.normalize ? 1 / denominator : 1;

            const float *v = p.v.row(head.b, 0, head.h), *S = p.S_in + index * p.K * p.V;
            float *o = p.o.row(head.b, 0, head.h), *S_out = p.S_out + index * p.K * p.V;
            const int64_t whole = p.V / W * W;
            for_panels(whole, [&](auto vectors, int64_t column) {
                Vector values[vectors], sums[vectors] = {};
                for (int j = 0; j < vectors; j++) values[j] = load(v + column + j * W);
                for (int64_t d = 0; d < p.K; d++)
                    for (int j = 0; j < vectors; j++) {
                        const int64_t at = d * p.V + column + j * W;
                        const Vector entry = load(S + at) * decay + values[j] * k.data[d];
                        store(S_out + at, entry);
                        sums[j] += entry * q.data[d];
                    }
                for (int j = 0; j < vectors; j++) store(o + column + j * W, sums[j] * factor);
            });
            for (int64_t column = whole; column < p.V; column++) {
                float total = 0;
                for (int64_t d = 0; d < p.K; d++) {
                    const float entry = S[d * p.V + column] * decay + v[column] * k.data[d];
                    S_out[d * p.V + column] = entry;
                    total += entry * q.data[d];
                }
                o[column] = total * factor;
            }
        });
    });
}
