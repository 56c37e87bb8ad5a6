/* A small bootloader for the nRF9160, to be executed by the virtual one.
 *
 * Two slots in MCUboot's image format. An update is asked for by MCUboot's magic at the end of slot 1. The
 * slots' pages are exchanged one after another through a scratch page; each copy is noted in a log on a page
 * of its own, by which an interrupted exchange goes on. A version that has not confirmed itself (image_ok) by
 * the next reset gives way to the old one in the same manner. An image starts if its SHA-256 is right.
 *
 * NO_RESUME leaves out that an exchange goes on: the defect that a sweep of power cuts has to find.
 */
#include <stdint.h>

typedef uint32_t u32;
typedef uint8_t u8;

#ifdef NO_RESUME
#define RESUMES 0
#else
#define RESUMES 1
#endif
#define REG(address) (*(volatile u32 *)(address))
#define PAGE 0x1000u
#define ERASED 0xFFFFFFFFu

#define SLOT0 0x10000u
#define SLOT1 (SLOT0 + SLOT_SIZE)
#define LOG 0xD000u
#define SCRATCH 0xE000u

/* ---- peripherals (nrf9160.svd) */

#define CLOCK 0x50005000u
#define UARTE 0x50008000u
#define RTC 0x50014000u
#define NVMC 0x50039000u
#define SYST_CSR 0xE000E010u
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u
#define ICSR 0xE000ED04u

static u8 line[80];
volatile u32 ticks, switches, calls;

static void print(const char *text)
{
    u32 length = 0;
    while (text[length] && length < sizeof line) {
        line[length] = (u8)text[length];
        length++;
    }
    REG(UARTE + 0x120) = 0;
    REG(UARTE + 0x544) = (u32)line;
    REG(UARTE + 0x548) = length;
    REG(UARTE + 0x008) = 1;
    while (!REG(UARTE + 0x120)) {
    }
}

static void set_up(void)
{
    REG(UARTE + 0x50C) = 29; /* PSEL.TXD */
    REG(UARTE + 0x524) = 0x01D60000; /* 115200 baud */
    REG(UARTE + 0x500) = 8;
    REG(CLOCK + 0x008) = 1; /* LFCLKSTART */
    while (!REG(CLOCK + 0x104)) {
    }
    REG(RTC + 0x000) = 1;
}

/* Interrupts come and go: SysTick by time, PendSV and SVC by the program itself. */
static int interrupts_work(void)
{
    u32 begin = REG(RTC + 0x504);
    REG(SYST_RVR) = 6399;
    REG(SYST_CVR) = 0;
    REG(SYST_CSR) = 7;
    while (ticks < 3) {
        __asm volatile("wfi");
    }
    REG(SYST_CSR) = 0;
    REG(ICSR) = 1u << 28;
    __asm volatile("dsb\nisb\nsvc #0" ::: "memory");
    return switches == 1 && calls == 1 && REG(RTC + 0x504) - begin < 100;
}

void systick(void) { ticks++; }
void pendsv(void) { switches++; }
void svc(void) { calls++; }

/* ---- flash */

static void flash_mode(u32 mode)
{
    REG(NVMC + 0x504) = mode;
    while (!REG(NVMC + 0x400)) {
    }
}

static void erase(u32 page)
{
    flash_mode(2);
    REG(page) = ERASED;
    flash_mode(0);
}

static void write(u32 to, const u32 *words, u32 count)
{
    flash_mode(1);
    for (u32 n = 0; n < count; n++) {
        REG(to + 4 * n) = words[n];
        while (!REG(NVMC + 0x400)) {
        }
    }
    flash_mode(0);
}

static void write_word(u32 to, u32 word) { write(to, &word, 1); }

static int is_erased(u32 page)
{
    for (u32 n = 0; n < PAGE; n += 4) {
        if (REG(page + n) != ERASED) {
            return 0;
        }
    }
    return 1;
}

static u32 buffer[PAGE / 4];

static void copy_page(u32 from, u32 to)
{
    for (u32 n = 0; n < PAGE / 4; n++) {
        buffer[n] = REG(from + 4 * n);
    }
    erase(to);
    write(to, buffer, PAGE / 4);
}

/* ---- images */

#define IMAGE_MAGIC 0x96F3B83Du

static const u32 magic[4] = {0xF395C277u, 0x7FEFD260u, 0x0F505235u, 0x8079B62Cu};

static int has_magic(u32 slot)
{
    for (u32 n = 0; n < 4; n++) {
        if (REG(slot + SLOT_SIZE - 16 + 4 * n) != magic[n]) {
            return 0;
        }
    }
    return 1;
}

static u8 image_ok(u32 slot) { return *(volatile u8 *)(slot + SLOT_SIZE - 24); }
static u8 copy_done(u32 slot) { return *(volatile u8 *)(slot + SLOT_SIZE - 32); }

static const u32 sha_begin[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};
static const u32 sha_rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static u32 sha_state[8];

static u32 turned(u32 word, u32 bits) { return word >> bits | word << (32 - bits); }
static u32 big_endian(u32 word) { return __builtin_bswap32(word); }

static void sha_block(const u32 *block)
{
    u32 w[64], s[8];
    for (u32 i = 0; i < 16; i++) {
        w[i] = big_endian(block[i]);
    }
    for (u32 i = 16; i < 64; i++) {
        u32 a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
    }
    for (u32 i = 0; i < 8; i++) {
        s[i] = sha_state[i];
    }
    for (u32 i = 0; i < 64; i++) {
        u32 e = s[4], a = s[0];
        u32 one = s[7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + sha_rounds[i] + w[i];
        u32 two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        for (u32 k = 7; k > 0; k--) {
            s[k] = s[k - 1];
        }
        s[4] += one;
        s[0] = one + two;
    }
    for (u32 i = 0; i < 8; i++) {
        sha_state[i] += s[i];
    }
}

static u8 byte_of(u32 start, u32 length, u32 at, u32 end)
{
    if (at < length) {
        return *(volatile u8 *)(start + at);
    }
    if (at == length) {
        return 0x80;
    }
    return at >= end - 4 ? (u8)(length << 3 >> 8 * (end - 1 - at)) : 0;
}

static void sha256(u32 start, u32 length)
{
    u32 end = (length + 9 + 63) & ~63u, block[16];
    for (u32 i = 0; i < 8; i++) {
        sha_state[i] = sha_begin[i];
    }
    for (u32 at = 0; at < end; at += 64) {
        for (u32 i = 0; i < 64; i++) {
            if (at + 64 <= length) {
                block[i / 4] = REG(start + at + (i & ~3u));
                i |= 3;
            } else {
                ((u8 *)block)[i] = byte_of(start, length, at + i, end);
            }
        }
        sha_block(block);
    }
}

static u32 half(u32 at) { return *(volatile uint16_t *)at; }

/* Bytes of the image in a slot with all its TLVs; 0 if it is none, or its hash (TLV 0x10) is wrong. */
static u32 image_size(u32 slot)
{
    u32 header = half(slot + 8), guarded = half(slot + 10), body = REG(slot + 12);
    if (REG(slot) != IMAGE_MAGIC || body > SLOT_SIZE || header + body + guarded > SLOT_SIZE - PAGE) {
        return 0;
    }
    u32 covered = header + body + guarded, at = slot + covered;
    u32 end = at + half(at + 2);
    if (half(at) != 0x6907 || end > slot + SLOT_SIZE - PAGE) {
        return 0;
    }
    for (u32 entry = at + 4; entry < end; entry += 4 + half(entry + 2)) {
        if (half(entry) == 0x10) {
            sha256(slot, covered);
            for (u32 i = 0; i < 32; i++) {
                u8 wanted = (u8)(sha_state[i / 4] >> 8 * (3 - i % 4));
                if (*(volatile u8 *)(entry + 4 + i) != wanted) {
                    return 0;
                }
            }
            return end - slot;
        }
    }
    return 0;
}

/* ---- the exchange */

#define BEGUN 0x53574150u
#define TEST 1u
#define REVERT 2u
#define ENTRIES (LOG + 64)
#define DONE 0u /* what a torn entry becomes when it is written again */

static const u32 nothing[4] = {0, 0, 0, 0};

static int log_is_valid(void)
{
    u32 kind = REG(LOG + 4), pages = REG(LOG + 8);
    return REG(LOG) == BEGUN && REG(LOG + 12) == ~(BEGUN ^ kind ^ pages);
}

static void begin(u32 kind, u32 pages)
{
    u32 record[4] = {BEGUN, kind, pages, ~(BEGUN ^ kind ^ pages)};
    if (!is_erased(LOG)) {
        erase(LOG);
    }
    write(LOG, record, 4);
}

static void step(u32 number, u32 from, u32 to)
{
    u32 entry = ENTRIES + 4 * number;
    if (REG(entry) != DONE) {
        copy_page(from, to);
        write_word(entry, DONE);
    }
}

static void exchange(void)
{
    u32 kind = REG(LOG + 4), pages = REG(LOG + 8);
    for (u32 n = 0; n < pages; n++) {
        u32 first = SLOT0 + n * PAGE, second = SLOT1 + n * PAGE;
        step(3 * n, first, SCRATCH);
        step(3 * n + 1, second, first);
        step(3 * n + 2, SCRATCH, second);
    }
    u32 end = SLOT0 + SLOT_SIZE;
    erase(end - PAGE);
    if (kind == REVERT) {
        write_word(end - 24, 0xFFFFFF01u); /* image_ok */
    }
    write(end - 16, magic, 4);
    write_word(end - 32, 0xFFFFFF01u); /* copy_done */
    erase(SLOT1 + SLOT_SIZE - PAGE);
    write(LOG, nothing, 4);
}

static u32 pages_of_both(void)
{
    u32 first = image_size(SLOT0), second = image_size(SLOT1);
    return ((first > second ? first : second) + PAGE - 1) / PAGE;
}

static void update(void)
{
    if (RESUMES && log_is_valid()) {
        print("swap: resumed\r\n");
        exchange();
        return;
    }
    if (has_magic(SLOT1)) {
        if (image_size(SLOT1)) {
            print("swap: to the new image\r\n");
            begin(TEST, pages_of_both());
            exchange();
        } else {
            print("swap: no image\r\n");
            erase(SLOT1 + SLOT_SIZE - PAGE);
        }
    } else if (has_magic(SLOT0) && copy_done(SLOT0) == 1 && image_ok(SLOT0) == 0xFF && image_size(SLOT1)) {
        print("swap: back to the old image\r\n");
        begin(REVERT, pages_of_both());
        exchange();
    }
}

__attribute__((noreturn)) static void start(u32 table)
{
    u32 stack = REG(table), entry = REG(table + 4);
    __asm volatile("msr msp, %0\nbx %1" ::"r"(stack), "r"(entry));
    __builtin_unreachable();
}

void reset(void)
{
    ticks = switches = calls = 0; /* RAM is as it was; nothing else in it is read before it is written */
    set_up();
    print("bootloader of the tests\r\n");
    if (!interrupts_work()) {
        print("interrupts: wrong\r\n");
    }
#ifdef NOT_MODELLED
    REG(0x5000F000u) = 1; /* TIMER0 */
#endif
    update();
    if (image_size(SLOT0)) {
        print("starting slot0\r\n");
        start(SLOT0 + half(SLOT0 + 8));
    }
    print("nothing to start\r\n");
    for (;;) {
    }
}

__attribute__((noreturn)) static void stop(void)
{
    print("fault\r\n");
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    (void *)0x20040000, reset, stop, stop, stop, stop, stop, 0, 0, 0, 0, svc, 0, 0, pendsv, systick,
};
