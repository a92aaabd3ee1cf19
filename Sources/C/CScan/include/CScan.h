/* Byte scans over request and response heads: SSE2 where the processor has it, plain loops elsewhere.
 *
 * Each function reads at most `count` bytes from `bytes` and never past them. The scalar twin behind each scan
 * (`*_scalar`) gives the same answer for every input; a test compares them. The copying functions want `to` and
 * `from` not to overlap, and write exactly `count` bytes. */
#ifndef CSCAN_H
#define CSCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* 1 for each byte of a token (RFC 9110 §5.6.2: tchar). */
extern const uint8_t cscan_tchar[256];

static inline int cscan_is_control(uint8_t c) { return (c < 0x20 && c != 0x09) || c == 0x7f; }
static inline int cscan_is_target(uint8_t c) { return c > 0x20 && c < 0x7f && c != '#'; }

#if defined(__SSE2__)
/* Each mask function sets 0xff in the lanes that hold what its name says. */
static inline __m128i cscan_mask_control(__m128i v) {
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    return _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(0x09)), low),
                        _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
}

/* Letters, digits and '-': what nearly all field names are made of. The other tchars are left to the table. */
static inline __m128i cscan_mask_plain(__m128i v) {
    __m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    return _mm_or_si128(_mm_or_si128(is_letter, is_digit), _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
}

static inline __m128i cscan_mask_target(__m128i v) {
    __m128i shifted = _mm_sub_epi8(v, _mm_set1_epi8(0x21));
    __m128i visible = _mm_cmpeq_epi8(_mm_min_epu8(shifted, _mm_set1_epi8(0x7e - 0x21)), shifted);
    return _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('#')), visible);
}

/* Copies 4 to 16 bytes and returns all of them (some twice) in one register. */
static inline __m128i cscan_copy_short(uint8_t *to, const uint8_t *from, size_t count) {
    uint64_t first, last;
    if (count >= 8) {
        memcpy(&first, from, 8);
        memcpy(&last, from + count - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + count - 8, &last, 8);
    } else {
        uint32_t a, b;
        memcpy(&a, from, 4);
        memcpy(&b, from + count - 4, 4);
        memcpy(to, &a, 4);
        memcpy(to + count - 4, &b, 4);
        first = last = (uint64_t)a | (uint64_t)b << 32;
    }
    return _mm_set_epi64x((long long)last, (long long)first);
}
#endif

/* The first byte that ends a field value or spoils it: any control byte other than HTAB, or DEL.
 * Returns `count` when there is none. */
static inline size_t cscan_control_scalar(const uint8_t *bytes, size_t from, size_t count) {
    for (size_t i = from; i < count; i++)
        if (cscan_is_control(bytes[i])) return i;
    return count;
}

static inline size_t cscan_control(const uint8_t *bytes, size_t count) {
    size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= count; i += 16) {
        int mask = _mm_movemask_epi8(cscan_mask_control(_mm_loadu_si128((const __m128i *)(bytes + i))));
        if (mask) return i + (size_t)__builtin_ctz((unsigned)mask);
    }
    if (i + 8 <= count) {
        int mask = _mm_movemask_epi8(cscan_mask_control(_mm_loadl_epi64((const __m128i *)(bytes + i)))) & 0xff;
        if (mask) return i + (size_t)__builtin_ctz((unsigned)mask);
        i += 8;
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

/* The first byte that may not stand in a request target: outside 0x21 to 0x7e, or '#'. Returns `count` when there is none. */
static inline size_t cscan_target_scalar(const uint8_t *bytes, size_t from, size_t count) {
    for (size_t i = from; i < count; i++)
        if (!cscan_is_target(bytes[i])) return i;
    return count;
}

static inline size_t cscan_target(const uint8_t *bytes, size_t count) {
    size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= count; i += 16) {
        int mask = _mm_movemask_epi8(cscan_mask_target(_mm_loadu_si128((const __m128i *)(bytes + i)))) ^ 0xffff;
        if (mask) return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    return cscan_target_scalar(bytes, i, count);
}

/* The first byte that is no tchar, or `count`. `underscores` gets 1 when a '_' stands before it, else 0. */
static inline size_t cscan_name_scalar(const uint8_t *bytes, size_t from, size_t count, unsigned *underscores) {
    unsigned seen = 0;
    size_t i = from;
    for (; i < count && cscan_tchar[bytes[i]]; i++) seen |= (unsigned)(bytes[i] == '_');
    *underscores = seen;
    return i;
}

static inline size_t cscan_name(const uint8_t *bytes, size_t count, unsigned *underscores) {
    size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= count; i += 16) {
        int mask = _mm_movemask_epi8(cscan_mask_plain(_mm_loadu_si128((const __m128i *)(bytes + i)))) ^ 0xffff;
        if (mask) {
            i += (size_t)__builtin_ctz((unsigned)mask);
            if (!cscan_tchar[bytes[i]]) {
                *underscores = 0;
                return i;
            }
            break;
        }
    }
#endif
    return cscan_name_scalar(bytes, i, count, underscores);
}

/* The first byte that is no tchar, or `count`. */
static inline size_t cscan_token_scalar(const uint8_t *bytes, size_t from, size_t count) {
    size_t i = from;
    while (i < count && cscan_tchar[bytes[i]]) i++;
    return i;
}

static inline size_t cscan_token(const uint8_t *bytes, size_t count) {
    unsigned underscores;
    return cscan_name(bytes, count, &underscores);
}

/* Copies `count` bytes and says whether none of them was a control byte other than HTAB, or DEL: the check that
 * every field value passes on its way out. */
static inline int cscan_copy_value_scalar(uint8_t *to, const uint8_t *from, size_t count) {
    unsigned bad = 0;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        bad |= (unsigned)cscan_is_control(from[i]);
    }
    return bad == 0;
}

static inline int cscan_copy_value(uint8_t *to, const uint8_t *from, size_t count) {
#if defined(__SSE2__)
    if (count >= 16) {
        /* The last block overlaps the one before it, so that no byte is left for a loop. */
        __m128i seen = _mm_setzero_si128();
        for (size_t i = 0;; i += 16) {
            if (i + 16 > count) i = count - 16;
            __m128i v = _mm_loadu_si128((const __m128i *)(from + i));
            _mm_storeu_si128((__m128i *)(to + i), v);
            seen = _mm_or_si128(seen, cscan_mask_control(v));
            if (i + 16 >= count) return _mm_movemask_epi8(seen) == 0;
        }
    }
    if (count >= 4) return _mm_movemask_epi8(cscan_mask_control(cscan_copy_short(to, from, count))) == 0;
#endif
    return cscan_copy_value_scalar(to, from, count);
}

/* Copies `count` bytes and says whether all of them were tchars. */
static inline int cscan_copy_token_scalar(uint8_t *to, const uint8_t *from, size_t count) {
    unsigned good = 1;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        good &= cscan_tchar[from[i]];
    }
    return good != 0;
}

static inline int cscan_copy_token(uint8_t *to, const uint8_t *from, size_t count) {
#if defined(__SSE2__)
    if (count >= 4 && count <= 16) {
        if (_mm_movemask_epi8(cscan_mask_plain(cscan_copy_short(to, from, count))) == 0xffff) return 1;
    } else if (count > 16 && count <= 32) {
        __m128i first = _mm_loadu_si128((const __m128i *)from);
        __m128i last = _mm_loadu_si128((const __m128i *)(from + count - 16));
        _mm_storeu_si128((__m128i *)to, first);
        _mm_storeu_si128((__m128i *)(to + count - 16), last);
        if (_mm_movemask_epi8(_mm_and_si128(cscan_mask_plain(first), cscan_mask_plain(last))) == 0xffff) return 1;
    }
#endif
    return cscan_copy_token_scalar(to, from, count);
}

/* Eight bytes with the ASCII upper-case letters among them folded, no other byte changed. */
static inline uint64_t cscan_fold(uint64_t v) {
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low = v & ones * 0x7f;
    uint64_t above_z = low + ones * (0x7f - 'Z'), from_a = low + ones * (0x80 - 'A');
    return v | ((from_a ^ above_z) & ~v & ones * 0x80) >> 2;
}

/* One field line (RFC 9112 section 5). */
struct cscan_line {
    uint32_t name, value;
    uint16_t name_count;
    /* Without the white space around the value. */
    uint16_t value_count;
    /* 1 when a '_' stands in the name. */
    uint32_t underscores;
};

/* Why cscan_lines stopped. */
enum cscan_stop {
    /* There is no room for another line. */
    CSCAN_STOP_FULL,
    /* The empty line was read; `position` is behind it. */
    CSCAN_STOP_END,
    /* All bytes are good so far, and a line or the section goes on behind them. */
    CSCAN_STOP_PARTIAL,
    /* At `position` stands something other than a name and a colon. */
    CSCAN_STOP_NAME,
    /* At `position` stands a control byte in a value. */
    CSCAN_STOP_VALUE,
    /* A CR has no LF behind it. */
    CSCAN_STOP_LINE_END,
    /* A line is longer than `line_bytes` and its line end. */
    CSCAN_STOP_LONG_LINE,
    /* The lines reach beyond `section_end`. */
    CSCAN_STOP_LONG_SECTION,
    /* One line more than `lines_left`. */
    CSCAN_STOP_MANY_LINES,
};

/* Where a walk over field lines stands, and how far it may go. */
struct cscan_section {
    size_t position;
    /* The first offset that no line may reach. */
    size_t section_end;
    /* At most 65,535. */
    size_t line_bytes;
    size_t lines_left;
    enum cscan_stop stop;
    /* `position` is the first byte of its line. */
    int at_line_start;
};

/* Reads field lines from `section->position` on into `lines`, at most `room` of them, and returns how many. Offsets are from
 * `bytes`; `count` is below 2^32 and not below `position`. Each byte is looked at once, from left to right, and the verdict
 * on a byte never depends on one behind it. A function of its own, since inlined into Swift it runs out of registers. */
size_t cscan_lines(const uint8_t *bytes, size_t count, struct cscan_section *section, struct cscan_line *lines, size_t room);

/* Writes `name: value` CRLF, which are `name_count + value_count + 4` bytes, to `to`, and says whether the name is a token
 * and the value has no control byte. */
int cscan_write_line(uint8_t *to, const uint8_t *name, size_t name_count, const uint8_t *value, size_t value_count);

/* Whether `a` and `b` are the same but for the case of ASCII letters. `lower` must hold no upper-case letter. */
static inline int cscan_equals_lowercase_scalar(const uint8_t *a, const uint8_t *lower, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t c = a[i];
        if ((uint8_t)(c - 'A') < 26) c |= 0x20;
        if (c != lower[i]) return 0;
    }
    return 1;
}

static inline int cscan_equals_lowercase(const uint8_t *a, const uint8_t *lower, size_t count) {
    if (count < 8) return cscan_equals_lowercase_scalar(a, lower, count);
    uint64_t x, y;
    for (size_t i = 0;; i += 8) {
        if (i + 8 > count) i = count - 8;
        memcpy(&x, a + i, 8);
        memcpy(&y, lower + i, 8);
        if (cscan_fold(x) != y) return 0;
        if (i + 8 >= count) return 1;
    }
}

/* Whether every byte can stand in a JSON string as it is: printable ASCII but for the quote and the backslash. */
static inline int cscan_json_plain_scalar(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t c = bytes[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') return 0;
    }
    return 1;
}

#if defined(__SSE2__)
static inline __m128i cscan_mask_json(__m128i v) {
    /* Signed: bytes from 0x80 on are below 0x20 as well. */
    __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    return _mm_or_si128(_mm_or_si128(low, del), _mm_or_si128(quote, backslash));
}
#endif

static inline int cscan_json_plain(const uint8_t *bytes, size_t count) {
#if defined(__SSE2__)
    if (count >= 16) {
        /* The last sixteen bytes are read as such, whatever part of them has been read before. */
        __m128i seen = cscan_mask_json(_mm_loadu_si128((const __m128i *)(bytes + count - 16)));
        for (size_t i = 0; i + 16 < count; i += 16)
            seen = _mm_or_si128(seen, cscan_mask_json(_mm_loadu_si128((const __m128i *)(bytes + i))));
        return _mm_movemask_epi8(seen) == 0;
    }
    if (count >= 8) {
        __m128i first = _mm_loadl_epi64((const __m128i *)bytes);
        __m128i last = _mm_loadl_epi64((const __m128i *)(bytes + count - 8));
        return _mm_movemask_epi8(cscan_mask_json(_mm_unpacklo_epi64(first, last))) == 0;
    }
#endif
    return cscan_json_plain_scalar(bytes, count);
}

/* What a text has that must be looked at before it is written to a log. */
enum {
    /* Bytes that cannot stand in a JSON string as they are: see cscan_json_plain. */
    cscan_log_escapes = 1,
    /* '=', ':' or '%'. */
    cscan_log_signs = 2,
    /* "ba" or "be" in any case: "basic" and "bearer" begin so. */
    cscan_log_schemes = 4,
};

static inline unsigned cscan_log_scalar(const uint8_t *bytes, size_t count) {
    unsigned found = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t c = bytes[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') found |= cscan_log_escapes;
        if (c == '=' || c == ':' || c == '%') found |= cscan_log_signs;
        if ((c | 0x20) != 'b' || i + 1 == count) continue;
        uint8_t next = bytes[i + 1] | 0x20;
        if (next == 'a' || next == 'e') found |= cscan_log_schemes;
    }
    return found;
}

#if defined(__SSE2__)
static inline __m128i cscan_mask_signs(__m128i v) {
    return _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('%')),
                        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')), _mm_cmpeq_epi8(v, _mm_set1_epi8(':'))));
}

/* `next` holds the bytes behind those of `v`; 'a' and 'e' differ in one bit. */
static inline __m128i cscan_mask_schemes(__m128i v, __m128i next) {
    __m128i b = _mm_cmpeq_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('b'));
    __m128i vowel = _mm_cmpeq_epi8(_mm_or_si128(next, _mm_set1_epi8(0x24)), _mm_set1_epi8('e'));
    return _mm_and_si128(b, vowel);
}

static inline unsigned cscan_log_found(__m128i escapes, __m128i signs, __m128i schemes) {
    return (_mm_movemask_epi8(escapes) ? cscan_log_escapes : 0) | (_mm_movemask_epi8(signs) ? cscan_log_signs : 0) |
           (_mm_movemask_epi8(schemes) ? cscan_log_schemes : 0);
}
#endif

static inline unsigned cscan_log(const uint8_t *bytes, size_t count) {
#if defined(__SSE2__)
    if (count >= 16) {
        /* The last sixteen bytes are read as such, whatever part of them has been read before. */
        __m128i v = _mm_loadu_si128((const __m128i *)(bytes + count - 16));
        __m128i escapes = cscan_mask_json(v), signs = cscan_mask_signs(v);
        __m128i schemes = cscan_mask_schemes(v, _mm_srli_si128(v, 1));
        for (size_t i = 0; i + 16 < count; i += 16) {
            v = _mm_loadu_si128((const __m128i *)(bytes + i));
            escapes = _mm_or_si128(escapes, cscan_mask_json(v));
            signs = _mm_or_si128(signs, cscan_mask_signs(v));
            schemes = _mm_or_si128(schemes, cscan_mask_schemes(v, _mm_loadu_si128((const __m128i *)(bytes + i + 1))));
        }
        return cscan_log_found(escapes, signs, schemes);
    }
    if (count >= 8) {
        __m128i first = _mm_loadl_epi64((const __m128i *)bytes);
        __m128i last = _mm_loadl_epi64((const __m128i *)(bytes + count - 8));
        __m128i v = _mm_unpacklo_epi64(first, last);
        /* What is behind the first eight is not what the last eight begin with. */
        __m128i next = _mm_unpacklo_epi64(_mm_srli_si128(first, 1), _mm_srli_si128(last, 1));
        return cscan_log_found(cscan_mask_json(v), cscan_mask_signs(v), cscan_mask_schemes(v, next));
    }
#endif
    return cscan_log_scalar(bytes, count);
}

#endif
