#include "CScan.h"

#define DIGITS ['0'] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define LETTERS(first) [first] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1

const uint8_t cscan_tchar[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
    DIGITS, LETTERS('A'), LETTERS('a'),
};

size_t cscan_lines(const uint8_t *bytes, size_t count, struct cscan_section *section, struct cscan_line *lines, size_t room) {
    size_t position = section->position, left = section->lines_left, n = 0;
    const size_t section_end = section->section_end, line_bytes = section->line_bytes;
    /* Whether no limit can be reached with the bytes at hand, as in all but the largest heads. */
    const int fits = count < section_end && count - position < line_bytes;
    enum cscan_stop stop;
    section->at_line_start = 0;
    for (;;) {
        if (position >= count) {
            stop = CSCAN_STOP_PARTIAL;
            break;
        }
        if (bytes[position] == '\r') {
            stop = position + 1 >= count ? CSCAN_STOP_PARTIAL : bytes[position + 1] == '\n' ? CSCAN_STOP_END : CSCAN_STOP_LINE_END;
            if (stop == CSCAN_STOP_END) position += 2;
            break;
        }
        if (left == 0) {
            stop = CSCAN_STOP_MANY_LINES;
            break;
        }
        if (n == room) {
            stop = CSCAN_STOP_FULL;
            break;
        }
        /* The line must be complete before `end`; nothing at or behind it is looked at. */
        size_t end = count;
        enum cscan_stop cut = CSCAN_STOP_PARTIAL;
        if (!fits) {
            size_t bound = position + line_bytes + 2;
            if (bound > section_end) bound = section_end;
            if (bound <= count) {
                end = bound;
                cut = bound < section_end ? CSCAN_STOP_LONG_LINE : CSCAN_STOP_LONG_SECTION;
            }
        }
        unsigned underscores;
        size_t i = position + cscan_name(bytes + position, end - position, &underscores);
        if (i == end) {
            stop = cut;
            break;
        }
        if (bytes[i] != ':' || i == position) {
            section->at_line_start = i == position;
            position = i;
            stop = CSCAN_STOP_NAME;
            break;
        }
        lines[n].name = (uint32_t)position;
        lines[n].name_count = (uint16_t)(i - position);
        lines[n].underscores = underscores;
        i++;
        if (i < end && bytes[i] == ' ') i++;
        while (i < end && (bytes[i] == ' ' || bytes[i] == '\t')) i++;
        size_t value = i;
        i += cscan_control(bytes + i, end - i);
        if (i == end) {
            stop = cut;
            break;
        }
        if (bytes[i] != '\r') {
            position = i;
            stop = CSCAN_STOP_VALUE;
            break;
        }
        if (i + 1 == end) {
            stop = cut;
            break;
        }
        if (bytes[i + 1] != '\n') {
            stop = CSCAN_STOP_LINE_END;
            break;
        }
        position = i + 2;
        while (i > value && (bytes[i - 1] == ' ' || bytes[i - 1] == '\t')) i--;
        lines[n].value = (uint32_t)value;
        lines[n].value_count = (uint16_t)(i - value);
        n++;
        left--;
    }
    section->position = position;
    section->lines_left = left;
    section->stop = stop;
    return n;
}

int cscan_write_line(uint8_t *to, const uint8_t *name, size_t name_count, const uint8_t *value, size_t value_count) {
    int good = cscan_copy_token(to, name, name_count) && name_count > 0;
    to += name_count;
    to[0] = ':';
    to[1] = ' ';
    good &= cscan_copy_value(to + 2, value, value_count);
    to += 2 + value_count;
    to[0] = '\r';
    to[1] = '\n';
    return good;
}
