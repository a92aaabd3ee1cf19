/* Byte scans over request and response heads: SSE2 where the processor has it, plain loops elsewhere.
 *
 * Each function reads at most `count` bytes from `bytes` and never past them. The scalar twin behind each scan
 * (`*_scalar`) gives the same answer for every input; a test compares them. */
#ifndef CSCAN_H
#define CSCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* The first byte that ends a field value or spoils it: any control byte other than HTAB, or DEL.
 * Returns `count` when there is none. */
static inline size_t cscan_control_scalar(const uint8_t *bytes, size_t from, size_t count) {
    for (size_t i = from; i < count; i++) {
        uint8_t c = bytes[i];
        if ((c < 0x20 && c != 0x09) || c == 0x7f) return i;
    }
    return count;
}

static inline size_t cscan_control(const uint8_t *bytes, size_t count) {
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8(0x09), del = _mm_set1_epi8(0x7f);
    for (; i + 16 <= count; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(bytes + i));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, space), v);
        __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), low), _mm_cmpeq_epi8(v, del));
        int mask = _mm_movemask_epi8(bad);
        if (mask) return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    return cscan_control_scalar(bytes, i, count);
}

/* The first byte equal to `wanted`, or `count`. */
static inline size_t cscan_byte_scalar(const uint8_t *bytes, size_t from, size_t count, uint8_t wanted) {
    for (size_t i = from; i < count; i++)
        if (bytes[i] == wanted) return i;
    return count;
}

static inline size_t cscan_byte(const uint8_t *bytes, size_t count, uint8_t wanted) {
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i w = _mm_set1_epi8((char)wanted);
    for (; i + 16 <= count; i += 16) {
        int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(bytes + i)), w));
        if (mask) return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    return cscan_byte_scalar(bytes, i, count, wanted);
}

/* Copies `count` bytes and says whether none of them was a control byte other than HTAB, or DEL: the check that
 * every field value passes on its way out. */
static inline int cscan_copy_value(uint8_t *to, const uint8_t *from, size_t count) {
    size_t i = 0;
    unsigned bad = 0;
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8(0x09), del = _mm_set1_epi8(0x7f);
    __m128i seen = _mm_setzero_si128();
    for (; i + 16 <= count; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(from + i));
        _mm_storeu_si128((__m128i *)(to + i), v);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, space), v);
        seen = _mm_or_si128(seen, _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), low), _mm_cmpeq_epi8(v, del)));
    }
    bad = (unsigned)_mm_movemask_epi8(seen);
#endif
    for (; i < count; i++) {
        uint8_t c = from[i];
        to[i] = c;
        bad |= (unsigned)(c < 0x20) & (unsigned)(c != 0x09);
        bad |= (unsigned)(c == 0x7f);
    }
    return bad == 0;
}

/* 1 for each byte of a token (RFC 9110 §5.6.2: tchar). */
extern const uint8_t cscan_tchar[256];

/* The first byte that is no tchar, or `count`. */
static inline size_t cscan_token(const uint8_t *bytes, size_t count) {
    size_t i = 0;
    while (i < count && cscan_tchar[bytes[i]]) i++;
    return i;
}

/* Copies `count` bytes and says whether all of them were tchars. */
static inline int cscan_copy_token(uint8_t *to, const uint8_t *from, size_t count) {
    unsigned good = 1;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        good &= cscan_tchar[from[i]];
    }
    return good != 0;
}

/* Whether `a` and `b` are the same but for the case of ASCII letters. `lower` must hold no upper-case letter. */
static inline int cscan_equals_lowercase(const uint8_t *a, const uint8_t *lower, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t c = a[i];
        if ((uint8_t)(c - 'A') < 26) c |= 0x20;
        if (c != lower[i]) return 0;
    }
    return 1;
}

#endif
