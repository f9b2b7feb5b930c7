// The three passes over a head: outputs, gradient of q, and, in reverse order, gradients of k and v.
//
// Each gradient is again linear attention, with exchanged roles. With G = do / denominator and e = -(G . o):
//
//   dphi(q) = LA(G, v, phi(k))    and in reverse    dphi(k) = LA(v, G, phi(q)),  dv = LA(phi(k), phi(q), G)
//
// The contribution of the denominator to dphi(q) and dphi(k) is one extra element of the inner products: 1 appended to
// v, e appended to G.
#pragma once

#include <cstdlib>
#include <new>

#include "problem.h"

// A matrix that owns its memory, initialised to zero and aligned to cache lines.
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

// Common base of the passes: the rows of a chunk, its weights, the current head and its state, stored as a row of
// floats.
//
// A state is linear in the previous state, except for its last vector, which holds the decay since the segment's start.
struct Pass {
    const Problem& p;
    Head head;
    const int64_t K, V, V1;  // row lengths padded to whole vectors; V1 has space for one element after v
    Buffer q, k, scores, decayed, table, start;
    Weights weights;
    float* decay = nullptr;

    explicit Pass(const Problem& p)
        : p(p), head{p, 0, 0}, K(padded(p.K)), V(padded(p.V)), V1(padded(p.V + 1)),
          q(C, K), k(C, K), scores(R, C), decayed(R, std::max(K, V1)), table(C, C), start(1, C),
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

    void prefetch_upstream(const Span& span, int64_t first) const {
        head.prefetch(p.do_, span, first, p.V);
        if (p.normalize) head.prefetch(p.o, span, first, p.V);
    }

    // Reads G = do / denominator, followed by e = -(G . o); do and 0 without the normaliser.
    void read_upstream(const Span& span, const Matrix& to) const {
        if (!p.normalize) return head.read(p.do_, span, p.V, to);
        const float* reciprocals = p.reciprocals + head.index() * p.T;
        for (int64_t first = 0; first < span.count; first += R) {
            Vector products[R] = {};
            for (int64_t i = 0; i < R && first + i < span.count; i++) {
                const int64_t t = span.token(first + i);
                const float *row = p.do_.row(head.b, t, head.h), *o = p.o.row(head.b, t, head.h);
                for (int64_t d = 0; d < V; d += W) {
                    const Vector g = load_some(row + d, p.V - d) * reciprocals[t];
                    store(to.row(first + i) + d, g);
                    products[i] += TERM(g, load_some(o + d, p.V - d));
                }
            }
            const Vector sums = four_sums(products);
            for (int64_t i = 0; i < R; i++) to.row(first + i)[p.V] = -sums[i * W / R];
        }
    }

    // Returns the index of the state before a token among those that restart the sum for the gradient of decays, or -1.
    int64_t boundary(int64_t token) const {
        if (!p.flows || token == 0 || token >= p.T || token % DRIFT) return -1;
        return head.index() * p.boundaries() + token / DRIFT - 1;
    }

    // Writes the products of this head's rows with their gradients, one per token, if they are requested.
    void write_products(const Span& span, const float* products, float* to) const {
        for (int64_t i = 0; to && i < span.count; i++) to[head.index() * p.T + span.token(i)] = products[i];
    }
};

// Computes o, the denominators and the final state.
struct Forward : Pass {
    static constexpr bool back_in_time = false;
    Buffer v, kt, z_sum, reciprocals;  // reciprocals of the denominators, or ones
    State S;  // [K, V]
    float *z = nullptr, *z_errors = nullptr;

    explicit Forward(const Problem& p) : Pass(p), v(C, V), kt(K, C), z_sum(1, K), reciprocals(1, C) {
        std::fill_n(reciprocals.data, C, 1.0f);
    }
    static int64_t state_floats(const Problem& p) { return 2 * padded(p.K) * (padded(p.V) + 1) + W; }

    void go_to(int64_t index, float* state) {
        S = {{state, V}, {state + K * V, V}};
        z = state + 2 * K * V, z_errors = z + K;
        go_to_head(index, z_errors + K);
    }

    bool needs_final_state() const { return p.S_out; }
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
        read_keys(span);
        head.read(p.v, span, p.V, v);
        if (outputs) {
            head.read_features(p.q, span, q);
            Sums sums;
            sums.z = z, sums.reciprocals = p.normalize ? reciprocals.data : nullptr;
            chunk_outputs(
                q, kt, v, S.sum, p.K, V, span.count, weights, scores, decayed, sums,
                [&](auto& tile, int64_t first, int64_t column) {
                    head.write(tile, first, column, p.o, span, p.V, [&](int64_t i, int64_t) {
                        return reciprocals.data[i];
                    });
                },
                [&](int64_t first) {
                    head.prefetch(p.q, span, first, p.K), head.prefetch(p.k, span, first, p.K);
                    head.prefetch(p.v, span, first, p.V), head.prefetch(p.o, span, first, p.V);
                }
            );
            if (p.reciprocals)
                for (int64_t i = 0; i < span.count; i++)
                    p.reciprocals[head.index() * p.T + span.token(i)] = reciprocals.data[i];
        }
        if (!advances) return;
        const float total = pass_chunk(span);
        scale_to_end(v, V, span.count, weights);
        advance(kt, v, p.K, V, span.count, total, S);
        advance_normalizer(total);
    }

private:
    // Reads phi(k), transposed, and computes its contribution to z: sum_j weight_nj phi(k_j).
    void read_keys(const Span& span) {
        const float* weight = weights.table.row(span.count - 1);
        head.with_feature_map([&](auto phi) {
            head.read_columns(p.k, span, p.K, kt, phi, [&](int64_t first, int64_t d, const Vector* rows) {
                Vector sum = first ? load(z_sum.data + d) : Vector{};
                UNROLL for (int i = 0; i < W; i++) sum += TERM(rows[i], weight[first + i]);
                store(z_sum.data + d, sum);
            });
        });
    }

    // z <- total z + z_sum, a Kahan sum.
    void advance_normalizer(float total) {
        for (int64_t d = 0; d < K; d += W) {
            const Vector old = load(z + d) * total, term = load(z_sum.data + d) + load(z_errors + d) * total;
            const Vector sum = old + term;
            store(z + d, sum);
            store(z_errors + d, term - (sum - old));
        }
    }
};

// Computes the gradient of q. Its state is S^T followed by z: [V + 1, K].
struct Queries : Pass {
    static constexpr bool back_in_time = false;
    Buffer g, vt, products;
    State St;

    explicit Queries(const Problem& p) : Pass(p), g(C, V1), vt(V1, C), products(1, C) {}
    static int64_t state_floats(const Problem& p) { return 2 * padded(p.V + 1) * padded(p.K) + W; }

    void go_to(int64_t index, float* state) {
        St = {{state, K}, {state + V1 * K, K}};
        go_to_head(index, state + 2 * V1 * K);
    }

    bool needs_final_state() const { return false; }
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
        head.read_columns(p.v, span, p.V, vt, [](Vector x) { return x; }, [](int64_t, int64_t, const Vector*) {});
        std::fill_n(vt.row(p.V), C, 1.0f);
        head.read_features(p.k, span, k);
        if (outputs) {
            const int64_t index = boundary(span.first);
            if (index >= 0) std::memcpy(p.states + index * V1 * K, St.sum.data, V1 * K * sizeof(float));
            read_upstream(span, g);
            head.read_features(p.q, span, q);
            Sums sums;
            sums.rows = &q, sums.products = p.dq_products ? products.data : nullptr;
            chunk_outputs(
                g, vt, k, St.sum, p.V + 1, K, span.count, weights, scores, decayed, sums,
                [&](auto& tile, int64_t first, int64_t column) {
                    head.write_gradient(tile, first, column, q, p.dq, span);
                },
                [&](int64_t first) {
                    head.prefetch(p.q, span, first, p.K), head.prefetch(p.k, span, first, p.K);
                    head.prefetch(p.v, span, first, p.V), head.prefetch(p.dq, span, first, p.K);
                    prefetch_upstream(span, first);
                }
            );
            write_products(span, products.data, p.dq_products);
        }
        if (!advances) return;
        const float total = pass_chunk(span);
        scale_to_end(k, K, span.count, weights);
        advance(vt, k, p.V + 1, K, span.count, total, St);
    }
};

// Computes the gradients of k, v and the initial state. Its state is the gradient of S^T followed by that of z: [V + 1,
// K].
struct Keys : Pass {
    static constexpr bool back_in_time = true;
    Buffer v, g, qt, gt, dS, products;
    State dSt;

    explicit Keys(const Problem& p)
        : Pass(p), v(C, V1), g(C, V1), qt(K, C), gt(V1, C), dS(K, V1), products(1, C) {}
    static int64_t state_floats(const Problem& p) { return Queries::state_floats(p); }

    void go_to(int64_t index, float* state) {
        dSt = {{state, K}, {state + V1 * K, K}};
        go_to_head(index, state + 2 * V1 * K);
    }

    bool needs_final_state() const { return p.dS_in; }
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
            write_flow(span.first + 1);
            transpose(q, span.count, p.K, qt);
            transpose(dSt.sum, p.V, p.K, dS);
            head.read_features(p.k, span, k);
            chunk_outputs(
                k, qt, g, dS, p.K, V, span.count, weights, scores, decayed, {},
                [&](auto& tile, int64_t first, int64_t column) {
                    head.write(tile, first, column, p.dv, span, p.V, [](int64_t, int64_t) { return 1.0f; });
                },
                [&](int64_t first) {
                    head.prefetch(p.q, span, first, p.K), head.prefetch(p.k, span, first, p.K);
                    prefetch_upstream(span, first);
                }
            );
            head.read(p.v, span, p.V, v);
            for (int64_t i = 0; i < span.count; i++) v.row(i)[p.V] = 1;
            Sums sums;
            sums.rows = &k, sums.products = p.dk_products ? products.data : nullptr;
            chunk_outputs(
                v, gt, q, dSt.sum, p.V + 1, K, span.count, weights, scores, decayed, sums,
                [&](auto& tile, int64_t first, int64_t column) {
                    head.write_gradient(tile, first, column, k, p.dk, span);
                },
                [&](int64_t first) {
                    head.prefetch(p.v, span, first, p.V), head.prefetch(p.dv, span, first, p.V);
                    head.prefetch(p.dk, span, first, p.K);
                }
            );
            write_products(span, products.data, p.dk_products);
        }
        if (!advances) return;
        const float total = pass_chunk(span);
        scale_to_end(q, K, span.count, weights);
        advance(gt, q, p.V + 1, K, span.count, total, dSt);
    }

private:
    // Writes the flow over a token's decay: e^g times the inner product of the state before it and its gradient.
    void write_flow(int64_t token) const {
        const int64_t index = boundary(token);
        if (index < 0) return;
        const float* state = p.states + index * V1 * K;
        double sum = 0;
        for (int64_t e = 0; e <= p.V; e++) {
            Vector products = {};
            for (int64_t d = 0; d < K; d += W) products += TERM(load(state + e * K + d), load(dSt.sum.row(e) + d));
            for (int64_t i = 0; i < W; i++) sum += products[i];
        }
        p.flows[index] = static_cast<float>(std::exp(*p.log_decay.row(head.b, token, head.h)) * sum);
    }
};
