// The three passes over a head: outputs, gradient of q, and, back in time, gradients of k and v.
//
// Each gradient is linear attention again, with the roles exchanged. With G = do / denominator and e = -(G . o):
//
//   dphi(q) = LA(G, v, phi(k))    and back in time    dphi(k) = LA(v, G, phi(q)),  dv = LA(phi(k), phi(q), G)
//
// The denominator's share of dphi(q) and dphi(k) is one more element of the inner products: 1 after v, e after G.
#pragma once

#include <cstdlib>
#include <new>

#include "problem.h"

constexpr float EPSILON = 1e-6f;

// A matrix that owns its memory: zeros, aligned to cache lines.
struct Buffer : Matrix {
    Buffer(int64_t rows, int64_t columns) : Matrix{nullptr, columns} {
        const size_t bytes = (rows * columns * sizeof(float) + 63) / 64 * 64;
        if (bytes == 0) return;
        data = static_cast<float*>(std::aligned_alloc(64, bytes));
        if (!data) throw std::bad_alloc();
        std::memset(data, 0, bytes);
    }
    Buffer(const Buffer&) = delete;
    ~Buffer() { std::free(data); }
};

// What the passes share: rows of a chunk, its weights, and a place: a head and its state, a row of floats.
//
// A state is linear in the state before it but for its last vector, which holds the decay from the segment's start.
struct Pass {
    const Problem& p;
    Head head;
    const int64_t K, V, V1;  // floats of a row in whole vectors; V1 has room for one element after v
    Buffer q, k, o, scores, decayed, table, start;
    Weights weights;
    float* decay = nullptr;

    explicit Pass(const Problem& p)
        : p(p), head{p, 0, 0}, K(padded(p.K)), V(padded(p.V)), V1(padded(p.V + 1)),
          q(C, K), k(C, K), o(C, std::max(K, V)), scores(R, C), decayed(R, std::max(K, V1)), table(C, C), start(1, C),
          weights{table, start.data} {
        weights.set_ones();
        weights.decayed = p.log_decay.data;
    }

protected:
    void go_to_head(int64_t index, float* decay_of_state) {
        head.b = index / p.H, head.h = index % p.H;
        decay = decay_of_state;
    }

    // Returns the decay of the state over a chunk.
    float pass_chunk(const Span& span) {
        const float total = weights.start[span.count - 1];
        *decay *= total;
        return total;
    }

    // v, and 1 after it.
    void read_values(const Span& span, const Matrix& to) const {
        head.read(p.v, span, p.V, to);
        for (int64_t i = 0; i < span.count; i++) to.row(i)[p.V] = 1;
    }

    void prefetch_upstream(const Span& span, int64_t first) const {
        head.prefetch(p.do_, span, first, p.V);
        if (p.normalize) head.prefetch(p.o, span, first, p.V);
    }

    // G = do / denominator, and e = -(G . o) after it; do and 0 if nothing is normalised.
    void read_upstream(const Span& span, const Matrix& to) {
        head.read(p.do_, span, p.V, to);
        if (!p.normalize) return;
        head.read(p.o, span, p.V, o);
        for (int64_t i = 0; i < span.count; i++) {
            float* row = to.row(i);
            row[p.V] = 0;  // what the chunk before left there
            const float reciprocal = p.reciprocals[head.index() * p.T + span.token(i)];
            for (int64_t d = 0; d < V; d += W) store(row + d, load(row + d) * reciprocal);
            row[p.V] = -dot(row, o.row(i), V);
        }
    }

    // Writes phi(x) . dphi(x), for the gradient of the decays, and dx.
    void write_gradient(const Span& span, const Matrix& phi, const Tensor& to, float* products) const {
        for (int64_t i = 0; products && i < span.count; i++)
            products[head.index() * p.T + span.token(i)] = dot(phi.row(i), o.row(i), K);
        head.multiply_slopes(o, phi, span.count);
        head.write(o, nullptr, to, span, p.K);
    }
};

// o, the denominators and the final state.
struct Forward : Pass {
    static constexpr bool back_in_time = false;
    Buffer v, kt, sums;
    State S;  // [K, V]
    float *z = nullptr, *z_errors = nullptr;

    explicit Forward(const Problem& p) : Pass(p), v(C, V), kt(K, C), sums(1, C) {}
    static int64_t state_floats(const Problem& p) { return 2 * padded(p.K) * (padded(p.V) + 1) + W; }

    void go_to(int64_t index, float* state) {
        S = {{state, V}, {state + K * V, V}};
        z = state + 2 * K * V, z_errors = z + K;
        go_to_head(index, z_errors + K);
    }

    bool wants_state() const { return p.S_out; }
    void read_state() {
        if (!p.S_in) return;
        for (int64_t d = 0; d < p.K; d++) {
            std::memcpy(S.sum.row(d), p.S_in + (head.index() * p.K + d) * p.V, p.V * sizeof(float));
            z[d] = p.z_in[head.index() * p.K + d];
        }
    }
    void write_state() const {
        for (int64_t d = 0; d < p.K; d++) {
            std::memcpy(p.S_out + (head.index() * p.K + d) * p.V, S.sum.row(d), p.V * sizeof(float));
            p.z_out[head.index() * p.K + d] = z[d];
        }
    }

    void step(const Span& span, bool outputs, bool advances) {
        head.read_weights(span, weights);
        head.read_features(p.k, span, k);
        transpose(k, span.count, p.K, kt);
        head.read(p.v, span, p.V, v);
        if (outputs) {
            head.read_features(p.q, span, q);
            chunk_outputs(
                q, kt, v, S.sum, p.K, V, span.count, weights, scores, decayed, o,
                [&](int64_t first) {
                    head.prefetch(p.q, span, first, p.K), head.prefetch(p.k, span, first, p.K);
                    head.prefetch(p.v, span, first, p.V), head.prefetch(p.o, span, first, p.V);
                },
                z, p.normalize ? sums.data : nullptr
            );
            if (p.normalize) divide(span);
            head.write(o, p.normalize ? sums.data : nullptr, p.o, span, p.V);
        }
        if (!advances) return;
        const float total = pass_chunk(span);
        weigh_to_end(v, V, span.count, weights);
        advance(kt, v, p.K, V, span.count, total, S);
        advance_normalizer(span.count, total);
    }

private:
    // Turns denominators into their reciprocals.
    void divide(const Span& span) {
        for (int64_t i = 0; i < span.count; i++) {
            sums.data[i] = 1 / (sums.data[i] + EPSILON);
            if (p.reciprocals) p.reciprocals[head.index() * p.T + span.token(i)] = sums.data[i];
        }
    }

    // z <- total z + sum_j weight_nj phi(k_j), by Kahan's sum.
    void advance_normalizer(int64_t count, float total) {
        const float* weight = weights.table.row(count - 1);
        for (int64_t d = 0; d < K; d += W) {
            Vector added{};
            for (int64_t j = 0; j < count; j++) added += load(k.row(j) + d) * weight[j];
            const Vector old = load(z + d) * total, rest = added + load(z_errors + d) * total, now = old + rest;
            store(z + d, now);
            store(z_errors + d, rest - (now - old));
        }
    }
};

// The gradient of q. Its state is S^T, and z after it: [V + 1, K].
struct Queries : Pass {
    static constexpr bool back_in_time = false;
    Buffer v, g, vt;
    State St;

    explicit Queries(const Problem& p) : Pass(p), v(C, V1), g(C, V1), vt(V1, C) {}
    static int64_t state_floats(const Problem& p) { return 2 * padded(p.V + 1) * padded(p.K) + W; }

    void go_to(int64_t index, float* state) {
        St = {{state, K}, {state + V1 * K, K}};
        go_to_head(index, state + 2 * V1 * K);
    }

    bool wants_state() const { return false; }
    void write_state() const {}
    void read_state() {
        if (!p.S_in) return;
        for (int64_t d = 0; d < p.K; d++) {
            for (int64_t e = 0; e < p.V; e++) St.sum.row(e)[d] = p.S_in[(head.index() * p.K + d) * p.V + e];
            St.sum.row(p.V)[d] = p.z_in[head.index() * p.K + d];
        }
    }

    void step(const Span& span, bool outputs, bool advances) {
        head.read_weights(span, weights);
        read_values(span, v);
        transpose(v, span.count, p.V + 1, vt);
        head.read_features(p.k, span, k);
        if (outputs) {
            read_upstream(span, g);
            chunk_outputs(g, vt, k, St.sum, p.V + 1, K, span.count, weights, scores, decayed, o, [&](int64_t first) {
                head.prefetch(p.q, span, first, p.K), head.prefetch(p.k, span, first, p.K);
                head.prefetch(p.v, span, first, p.V), head.prefetch(p.dq, span, first, p.K);
                prefetch_upstream(span, first);
            });
            head.read_features(p.q, span, q);
            write_gradient(span, q, p.dq, p.dq_products);
        }
        if (!advances) return;
        const float total = pass_chunk(span);
        weigh_to_end(k, K, span.count, weights);
        advance(vt, k, p.V + 1, K, span.count, total, St);
    }
};

// The gradients of k, v and the initial state. Its state is the gradient of S, transposed, and of z: [V + 1, K].
struct Keys : Pass {
    static constexpr bool back_in_time = true;
    Buffer v, g, qt, gt, dS;
    State dSt;

    explicit Keys(const Problem& p) : Pass(p), v(C, V1), g(C, V1), qt(K, C), gt(V1, C), dS(K, V1) {}
    static int64_t state_floats(const Problem& p) { return Queries::state_floats(p); }

    void go_to(int64_t index, float* state) {
        dSt = {{state, K}, {state + V1 * K, K}};
        go_to_head(index, state + 2 * V1 * K);
    }

    bool wants_state() const { return p.dS_in; }
    void read_state() {
        for (int64_t d = 0; p.dS_out && d < p.K; d++) {
            for (int64_t e = 0; e < p.V; e++) dSt.sum.row(e)[d] = p.dS_out[(head.index() * p.K + d) * p.V + e];
            dSt.sum.row(p.V)[d] = p.dz_out[head.index() * p.K + d];
        }
    }
    void write_state() const {
        const float first = weights.decayed ? std::exp(*p.log_decay.row(head.b, 0, head.h)) : 1;
        for (int64_t d = 0; d < p.K; d++) {
            for (int64_t e = 0; e < p.V; e++)
                p.dS_in[(head.index() * p.K + d) * p.V + e] = first * dSt.sum.row(e)[d];
            p.dz_in[head.index() * p.K + d] = first * dSt.sum.row(p.V)[d];
        }
    }

    void step(const Span& span, bool outputs, bool advances) {
        head.read_weights(span, weights);
        head.read_features(p.q, span, q);
        read_upstream(span, g);
        transpose(g, span.count, p.V + 1, gt);
        if (outputs) {
            transpose(q, span.count, p.K, qt);
            transpose(dSt.sum, p.V, p.K, dS);
            head.read_features(p.k, span, k);
            chunk_outputs(k, qt, g, dS, p.K, V, span.count, weights, scores, decayed, o, [&](int64_t first) {
                head.prefetch(p.q, span, first, p.K), head.prefetch(p.k, span, first, p.K);
                prefetch_upstream(span, first);
            });
            head.write(o, nullptr, p.dv, span, p.V);
            read_values(span, v);
            chunk_outputs(v, gt, q, dSt.sum, p.V + 1, K, span.count, weights, scores, decayed, o, [&](int64_t first) {
                head.prefetch(p.v, span, first, p.V), head.prefetch(p.dv, span, first, p.V);
                head.prefetch(p.dk, span, first, p.K);
            });
            write_gradient(span, k, p.dk, p.dk_products);
        }
        if (!advances) return;
        const float total = pass_chunk(span);
        weigh_to_end(q, K, span.count, weights);
        advance(gt, q, p.V + 1, K, span.count, total, dSt);
    }
};
