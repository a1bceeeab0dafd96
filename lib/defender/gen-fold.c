/*
 * gen-fold: write the folding table of lib/defender as C, from the Unicode data of ICU on the
 * machine that builds. A character's row says what rules see in its place: NFKC, case folded,
 * without accents where the script does not need them, and for look-alikes (Unicode's confusables)
 * the ASCII that they play. Nothing of ICU stays in the library.
 */
#include "foldtab.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/uspoof.h>
#include <unicode/ustring.h>

#define LIMIT 0x20000
#define PAGES (LIMIT / FOLD_PAGE)

struct row {
	uint8_t cls, script;
	char fold[64], conf[8]; /* UTF-8; "" in fold: the character itself */
};

static const UNormalizer2 *nfkc_cf, *nfd, *nfc;
static USpoofChecker *spoof;

static void need(UErrorCode e, const char *what)
{
	if (U_FAILURE(e)) {
		fprintf(stderr, "gen-fold: %s: %s\n", what, u_errorName(e));
		exit(1);
	}
}

/* look-alikes that Unicode's table leaves out: letters that only resemble in lower case, small caps */
static const struct {
	UChar32 cp;
	char as;
} extra[] = {
	{0x43a, 'k'}, {0x442, 't'}, {0x43c, 'm'}, {0x432, 'b'}, {0x43d, 'h'}, {0x433, 'r'}, {0x43f, 'n'},
	{0x438, 'u'}, {0x44c, 'b'}, {0x3b3, 'y'}, {0x3c4, 't'}, {0x3ba, 'k'}, {0x3b7, 'n'}, {0x3b5, 'e'},
	{0x3c9, 'w'}, {0x3b2, 'b'}, {0x3b4, 'd'}, {0x3b8, 'o'}, {0x3bc, 'u'}, {0x3c0, 'n'}, {0x3c3, 'o'},
	{0x3c7, 'x'}, {0x3b6, 'z'}, {0x3be, 'e'}, {0x3b9, 'i'}, {0x3c5, 'u'}, {0x3bd, 'v'}, {0x3b1, 'a'},
};
static const struct {
	UChar32 cp;
	char as;
} caps[] = {
	{0x1d00, 'a'}, {0x299, 'b'},  {0x1d04, 'c'}, {0x1d05, 'd'}, {0x1d07, 'e'}, {0xa730, 'f'},
	{0x262, 'g'},  {0x29c, 'h'},  {0x26a, 'i'},  {0x1d0a, 'j'}, {0x1d0b, 'k'}, {0x29f, 'l'},
	{0x1d0d, 'm'}, {0x274, 'n'},  {0x1d0f, 'o'}, {0x1d18, 'p'}, {0x1eb, 'q'},  {0x280, 'r'},
	{0xa731, 's'}, {0x1d1b, 't'}, {0x1d1c, 'u'}, {0x1d20, 'v'}, {0x1d21, 'w'}, {0x28f, 'y'},
	{0x1d22, 'z'}, {0x131, 'i'},  {0x251, 'a'},  {0x261, 'g'},
};

static bool mark_goes(UChar32 mark, UChar32 base)
{
	UErrorCode e = U_ZERO_ERROR;
	UScriptCode s = uscript_getScript(mark, &e), b = base ? uscript_getScript(base, &e) : USCRIPT_LATIN;

	if (u_charType(mark) != U_NON_SPACING_MARK && u_charType(mark) != U_ENCLOSING_MARK)
		return false;
	if (mark == 0x3099 || mark == 0x309a)
		return b != USCRIPT_HIRAGANA && b != USCRIPT_KATAKANA;
	return s == USCRIPT_INHERITED || s == USCRIPT_ARABIC || s == USCRIPT_HEBREW || s == USCRIPT_LATIN ||
	       s == USCRIPT_CYRILLIC || s == USCRIPT_GREEK || s == USCRIPT_SYRIAC;
}

/* NFKC, case folded, without marks that go; the length in UTF-16 */
static int32_t plain(UChar32 cp, UChar *out, int32_t max)
{
	UChar a[64], b[64], c[128];
	int32_t n = 0, m, k = 0;
	UErrorCode e = U_ZERO_ERROR;

	U16_APPEND_UNSAFE(a, n, cp);
	m = unorm2_normalize(nfkc_cf, a, n, b, 64, &e);
	m = unorm2_normalize(nfd, b, m, c, 128, &e);
	need(e, "normalize");
	UChar32 base = 0;
	n = 0;
	for (int32_t i = 0; i < m;) {
		UChar32 ch;
		U16_NEXT(c, i, m, ch);
		if (mark_goes(ch, base))
			continue;
		if (u_charType(ch) != U_NON_SPACING_MARK)
			base = ch;
		U16_APPEND_UNSAFE(b, n, ch);
	}
	k = unorm2_normalize(nfc, b, n, out, max, &e);
	need(e, "compose");
	return k;
}

/* @p s as lower-case ASCII letters and digits; false when it is not */
static bool ascii_of(const UChar *s, int32_t n, char *out, size_t max)
{
	size_t k = 0;

	for (int32_t i = 0; i < n;) {
		UChar32 ch;
		U16_NEXT(s, i, n, ch);
		if (u_charType(ch) == U_NON_SPACING_MARK || u_charType(ch) == U_ENCLOSING_MARK)
			continue;
		ch = u_tolower(ch);
		if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')) || k + 1 >= max)
			return false;
		out[k++] = (char)ch;
	}
	out[k] = 0;
	return k > 0;
}

static bool skeleton(const UChar *s, int32_t n, char *out, size_t max)
{
	UChar sk[128];
	UErrorCode e = U_ZERO_ERROR;
	int32_t m = uspoof_getSkeleton(spoof, 0, s, n, sk, 128, &e);
	return U_SUCCESS(e) && ascii_of(sk, m, out, max);
}

static bool cjk(UChar32 cp, UScriptCode s)
{
	return s == USCRIPT_HAN || s == USCRIPT_HIRAGANA || s == USCRIPT_KATAKANA || s == USCRIPT_BOPOMOFO ||
	       cp == 0x30fc || cp == 0x3005;
}

static void classify(UChar32 cp, UScriptCode s, struct row *r)
{
	int8_t type = u_charType(cp);

	r->script = s == USCRIPT_LATIN ? FOLD_LATIN
		    : s == USCRIPT_CYRILLIC || s == USCRIPT_GREEK || s == USCRIPT_ARMENIAN ||
				    s == USCRIPT_CHEROKEE || s == USCRIPT_COPTIC || s == USCRIPT_LISU ||
				    s == USCRIPT_HEBREW || s == USCRIPT_ARABIC || s == USCRIPT_NKO
			    ? FOLD_LOOKALIKE
			    : FOLD_OTHER;
	if (type == U_UNASSIGNED || type == U_SURROGATE || type == U_PRIVATE_USE_CHAR)
		r->cls = FOLD_SEP;
	else if (type == U_CONTROL_CHAR)
		r->cls = cp == 0x85 ? FOLD_BREAK : FOLD_DROP;
	else if (type == U_LINE_SEPARATOR || type == U_PARAGRAPH_SEPARATOR)
		r->cls = FOLD_BREAK;
	else if (type == U_SPACE_SEPARATOR)
		r->cls = FOLD_SPACE;
	else if (type == U_FORMAT_CHAR || u_hasBinaryProperty(cp, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) ||
		 cp == 0x2800 || cp == 0xfffc)
		r->cls = FOLD_DROP;
	else if (mark_goes(cp, 0) && cp != 0x3099 && cp != 0x309a)
		r->cls = FOLD_DROP;
	else if (cp == 0x640)
		r->cls = FOLD_DROP; /* tatweel stretches a word */
	else if (cp == 0x3099 || cp == 0x309a)
		r->cls = FOLD_VOICED;
	else if (cjk(cp, s))
		r->cls = FOLD_CJK;
	else if (u_isalnum(cp) || type == U_NON_SPACING_MARK || type == U_COMBINING_SPACING_MARK ||
		 type == U_OTHER_NUMBER || type == U_LETTER_NUMBER)
		r->cls = FOLD_WORD;
	else
		r->cls = FOLD_SEP;
}

static void letters_in_boxes(UChar32 cp, struct row *r)
{
	static const UChar32 from[] = {0x1f110, 0x1f130, 0x1f150, 0x1f170, 0x1f1e6};

	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		if (cp >= from[i] && cp < from[i] + 26) {
			r->cls = FOLD_WORD;
			r->script = FOLD_LATIN;
			r->fold[0] = (char)('a' + (cp - from[i]));
			r->fold[1] = 0;
		}
}

static void make(UChar32 cp, struct row *r)
{
	UErrorCode e = U_ZERO_ERROR;
	UScriptCode s = uscript_getScript(cp, &e);
	UChar p[128], self[2];
	int32_t n, len = 0, utf8 = 0;
	char a[8];

	*r = (struct row){0};
	classify(cp, s, r);
	U16_APPEND_UNSAFE(self, len, cp);
	if (r->cls == FOLD_DROP || r->cls == FOLD_BREAK || r->cls == FOLD_SPACE)
		return;
	n = plain(cp, p, 128);
	if (n == 0) {
		r->cls = FOLD_DROP;
		return;
	}
	if (n != len || memcmp(p, self, sizeof(UChar) * (size_t)len) != 0)
		u_strToUTF8(r->fold, sizeof(r->fold) - 1, &utf8, p, n, &e);
	need(e, "fold");
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (caps[i].cp == cp)
			(void)snprintf(r->fold, sizeof(r->fold), "%c", caps[i].as);
	if (r->script == FOLD_LATIN && r->cls == FOLD_WORD && (unsigned char)r->fold[0] < 1 &&
	    (skeleton(p, n, a, sizeof(a)) || skeleton(self, len, a, sizeof(a))))
		(void)snprintf(r->fold, sizeof(r->fold), "%s", a);
	else if (r->script == FOLD_LATIN && r->fold[0] && (unsigned char)r->fold[0] >= 0x80 &&
		 skeleton(p, n, a, sizeof(a)))
		(void)snprintf(r->fold, sizeof(r->fold), "%s", a);
	letters_in_boxes(cp, r);
	if (r->script == FOLD_LATIN || (r->cls != FOLD_WORD && r->cls != FOLD_SEP))
		return;
	bool upper = u_isupper(cp);
	if (upper && skeleton(self, len, a, sizeof(a)) && strcmp(a, "l") != 0)
		(void)snprintf(r->conf, sizeof(r->conf), "%s", a);
	for (size_t i = 0; !r->conf[0] && i < sizeof(extra) / sizeof(extra[0]); i++)
		if (n == 1 && p[0] == extra[i].cp)
			(void)snprintf(r->conf, sizeof(r->conf), "%c", extra[i].as);
	if (!r->conf[0] && (skeleton(p, n, a, sizeof(a)) || skeleton(self, len, a, sizeof(a))))
		(void)snprintf(r->conf, sizeof(r->conf), "%s", a);
	/* in a script that has no look-alikes by nature (Indic digits, CJK), keep the letter itself */
	if (r->script == FOLD_OTHER && r->cls == FOLD_WORD && strlen(r->fold) &&
	    (unsigned char)r->fold[0] < 0x80)
		r->conf[0] = 0;
}

static char pool[1 << 18];
static size_t pool_len;

static size_t pooled(const char *s)
{
	size_t n = strlen(s);
	if (n == 0)
		return 0;
	char *at = memmem(pool, pool_len, s, n);
	if (at)
		return (size_t)(at - pool);
	memcpy(pool + pool_len, s, n);
	pool_len += n;
	return pool_len - n;
}

int main(void)
{
	static struct row rows[8192];
	static uint16_t pages[PAGES][FOLD_PAGE], index[PAGES];
	size_t n_rows = 0, n_pages = 0;
	UErrorCode e = U_ZERO_ERROR;

	nfkc_cf = unorm2_getNFKCCasefoldInstance(&e);
	nfd = unorm2_getNFDInstance(&e);
	nfc = unorm2_getNFCInstance(&e);
	spoof = uspoof_open(&e);
	need(e, "open");
	for (size_t p = 0; p < PAGES; p++) {
		uint16_t page[FOLD_PAGE];
		for (size_t i = 0; i < FOLD_PAGE; i++) {
			struct row r;
			size_t k = n_rows;
			make((UChar32)(p * FOLD_PAGE + i), &r);
			while (k > 0 && memcmp(&rows[k - 1], &r, sizeof(r)) != 0)
				k--;
			if (k == 0) {
				if (n_rows == sizeof(rows) / sizeof(rows[0])) {
					fputs("gen-fold: too many rows\n", stderr);
					return 1;
				}
				rows[n_rows++] = r;
				k = n_rows;
			}
			page[i] = (uint16_t)(k - 1);
		}
		size_t k = 0;
		while (k < n_pages && memcmp(pages[k], page, sizeof(page)) != 0)
			k++;
		if (k == n_pages)
			memcpy(pages[n_pages++], page, sizeof(page));
		index[p] = (uint16_t)k;
	}
	puts("/* made by gen-fold from ICU's Unicode data */\n#include \"foldtab.h\"");
	puts("const struct fold_row creel_fold_rows[] = {");
	for (size_t k = 0; k < n_rows; k++) {
		size_t f = pooled(rows[k].fold), c = pooled(rows[k].conf);
		if (f > UINT16_MAX || c > UINT16_MAX) {
			fputs("gen-fold: the strings are over 64 KiB\n", stderr);
			return 1;
		}
		printf("\t{%u, %u, %zu, %zu, %zu, %zu},\n", rows[k].cls, rows[k].script, strlen(rows[k].fold),
		       strlen(rows[k].conf), f, c);
	}
	puts("};\nconst char creel_fold_pool[] = {");
	for (size_t i = 0; i < pool_len; i++)
		printf("%d,%s", (signed char)pool[i], i % 24 == 23 ? "\n" : "");
	puts("0};\nconst uint16_t creel_fold_index[] = {");
	for (size_t p = 0; p < PAGES; p++)
		printf("%u,%s", index[p], p % 24 == 23 ? "\n" : "");
	puts("};\nconst uint16_t creel_fold_pages[][FOLD_PAGE] = {");
	for (size_t p = 0; p < n_pages; p++) {
		putchar('{');
		for (size_t i = 0; i < FOLD_PAGE; i++)
			printf("%u,", pages[p][i]);
		puts("},");
	}
	puts("};");
	return 0;
}
