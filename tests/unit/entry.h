/* SPDX-License-Identifier: ISC */
/*
 * In front of each file of tests that is a part of its folder's program, where
 * the build gives main() another name.
 */
int main(void);
