#include "policy/name.h"
#include "base/cleanup.h"
#ifndef CREEL_NO_IDN
#include <idn2.h>
#endif
#include <stdint.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "7", "0x1f", "0X": what inet_aton(3) and URL parsers read as a number */
static bool numeric(const char *label, size_t n)
{
	size_t i = n >= 2 && label[0] == '0' && label[1] == 'x' ? 2 : 0;
	bool hex = i == 2;

	for (; i < n; i++)
		if (!is_digit(label[i]) && !(hex && label[i] >= 'a' && label[i] <= 'f'))
			return false;
	return true;
}

/* @p s is ASCII: fold, check, copy */
static int ascii(const char *s, size_t len, struct creel_name *ret, struct creel_err *err)
{
	struct creel_name out = {0};
	size_t start = 0;

	if (len > 0 && s[len - 1] == '.')
		len--;
	if (len == 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "an empty name");
	if (len > CREEL_NAME_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a name over %d octets", CREEL_NAME_MAX);
	for (size_t i = 0; i <= len; i++) {
		char c = i < len ? s[i] : '.';
		if (c == '.') {
			size_t n = i - start;
			if (n == 0 || n > 63)
				return creel_err_set(err, CREEL_E_SYNTAX, 0, "a label of %zu octets", n);
			if (s[start] == '-' || s[i - 1] == '-')
				return creel_err_set(err, CREEL_E_SYNTAX, 0,
						     "a label begins or ends with '-'");
			if (i == len && numeric(out.text + start, n))
				return creel_err_set(err, CREEL_E_SYNTAX, 0, "the last label is a number");
			start = i + 1;
		} else if (c >= 'A' && c <= 'Z') {
			c = (char)(c - 'A' + 'a');
		} else if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-' && c != '_') {
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "octet 0x%02x in a name",
					     (unsigned char)c);
		}
		if (i < len)
			out.text[i] = c;
	}
	*ret = out;
	return 0;
}

int creel_name_parse(const char *text, size_t len, struct creel_name *ret_name, struct creel_err *err)
{
	char copy[4 * CREEL_NAME_MAX + 1];
	bool plain = true;

	if (len >= sizeof(copy))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a name of %zu octets", len);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0')
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "octet 0x00 in a name");
		plain = plain && !((unsigned char)text[i] & 0x80);
	}
	if (plain)
		return ascii(text, len, ret_name, err);
#ifdef CREEL_NO_IDN
	/* in a guest: what is not ASCII is refused, so a rule that names it allows less, never more */
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "a name that is not ASCII: write it as xn--");
#else
	autofree char *out = NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	int r = idn2_to_ascii_8z(copy, &out, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r == IDN2_MALLOC)
		return creel_err_nomem(err);
	if (r != IDN2_OK)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not an IDNA name: %s", idn2_strerror(r));
	return ascii(out, strlen(out), ret_name, err);
#endif
}

bool creel_name_below(const char *name, const char *parent)
{
	size_t n = strlen(name), p = strlen(parent);

	return n > p + 1 && name[n - p - 1] == '.' && memcmp(name + n - p, parent, p) == 0;
}
