import HTTPMessages
import Primitives

extension RequestContext {
    /// Makes a new request id, a UUID of version 7 (RFC 9562 §5.7): 48 bits of milliseconds, 74 bits of chance.
    ///
    /// Also for requests that never had a readable head, so that their error body and log line have an id too.
    public mutating func makeRequestID() {
        let milliseconds = unixNanoseconds / 1_000_000
        let high = milliseconds << 16 | 0x7000 | random.next() & 0x0fff
        let low = 0x8000_0000_0000_0000 | random.next() & 0x3fff_ffff_ffff_ffff
        let word0 = hexadecimal(UInt32(truncatingIfNeeded: high >> 32))
        let word1 = hexadecimal(UInt32(truncatingIfNeeded: high))
        let word2 = hexadecimal(UInt32(truncatingIfNeeded: low >> 32))
        let word3 = hexadecimal(UInt32(truncatingIfNeeded: low))
        requestIDBuffer.clear()
        requestIDBuffer.withFreeSpace(36) { room in
            // Whole words first; the four digits that a dash displaces are written once more behind it.
            room.storeBytes(of: word0, toByteOffset: 0, as: UInt64.self)
            room.storeBytes(of: word1, toByteOffset: 9, as: UInt64.self)
            room.storeBytes(of: UInt32(truncatingIfNeeded: word1 >> 32), toByteOffset: 14, as: UInt32.self)
            room.storeBytes(of: word2, toByteOffset: 19, as: UInt64.self)
            room.storeBytes(of: UInt32(truncatingIfNeeded: word2 >> 32), toByteOffset: 24, as: UInt32.self)
            room.storeBytes(of: word3, toByteOffset: 28, as: UInt64.self)
            room[8] = ASCII.dash
            room[13] = ASCII.dash
            room[18] = ASCII.dash
            room[23] = ASCII.dash
            return 36
        }
    }

    /// Takes over an id that a trusted proxy gave the request; false where it is not 8 to 128 bytes of `[A-Za-z0-9._-]`.
    mutating func takeRequestID(_ given: RawSpan) -> Bool {
        let n = given.byteCount
        guard n >= 8, n <= 128 else { return false }
        for k in 0..<n {
            let c = given[k]
            guard ASCII.isLetter(c) || ASCII.isDigit(c) || c == ASCII.dot || c == ASCII.dash || c == ASCII.underscore else {
                return false
            }
        }
        requestIDBuffer.clear()
        requestIDBuffer.append(given)
        return true
    }

    /// The eight lower-case digits of a word, the first one in the lowest byte, all at once.
    @inline(__always)
    private func hexadecimal(_ word: UInt32) -> UInt64 {
        var x = UInt64(word)
        x = (x & 0xffff_0000) << 16 | x & 0xffff
        x = (x << 8 | x) & 0x00ff_00ff_00ff_00ff
        x = (x << 4 | x) & 0x0f0f_0f0f_0f0f_0f0f
        let letters = (x &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        // '0' is 0x30; a letter lies 39 further on than its value would.
        return (x &+ 0x3030_3030_3030_3030 &+ letters &* 39).byteSwapped
    }
}
