#pragma once
#include <stdint.h>

/* Network-order fields at any address. */
static inline uint16_t creel_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t creel_be24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}
static inline uint32_t creel_be32(const uint8_t *p)
{
	return (uint32_t)creel_be16(p) << 16 | creel_be16(p + 2);
}
static inline uint64_t creel_be64(const uint8_t *p)
{
	return (uint64_t)creel_be32(p) << 32 | creel_be32(p + 4);
}
static inline void creel_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void creel_put_be32(uint8_t *p, uint32_t v)
{
	creel_put_be16(p, (uint16_t)(v >> 16));
	creel_put_be16(p + 2, (uint16_t)v);
}
