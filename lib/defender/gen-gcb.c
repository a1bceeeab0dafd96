/* Prints lib/defender/tok-text.c's table: where Unicode's grapheme clusters break (UAX 29), from ICU. */
#include <stdio.h>
#include <unicode/uchar.h>

static int cls(UChar32 c)
{
	switch (u_getIntPropertyValue(c, UCHAR_GRAPHEME_CLUSTER_BREAK)) {
	case U_GCB_CR:
		return 1;
	case U_GCB_LF:
		return 2;
	case U_GCB_CONTROL:
		return 3;
	case U_GCB_EXTEND:
		return 4;
	case U_GCB_ZWJ:
		return 5;
	case U_GCB_PREPEND:
		return 6;
	case U_GCB_SPACING_MARK:
		return 7;
	case U_GCB_L:
		return 8;
	case U_GCB_V:
		return 9;
	case U_GCB_T:
		return 10;
	case U_GCB_LV:
		return 11;
	case U_GCB_LVT:
		return 12;
	case U_GCB_REGIONAL_INDICATOR:
		return 13;
	default:
		return u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC) ? 14 : 0;
	}
}

int main(void)
{
	int last = 0;
	UChar32 from = 0;

	puts("/* {first, last, class} */");
	for (UChar32 c = 0; c <= 0x110000; c++) {
		int k = c < 0x110000 ? cls(c) : -1;
		if (k == last)
			continue;
		if (last)
			printf("{0x%x, 0x%x, %d},\n", (unsigned)from, (unsigned)c - 1, last);
		from = c;
		last = k;
	}
	return 0;
}
