"""Whole numbers with + - * /, signs and parentheses, by recursive descent."""

import re

WORD = re.compile(r"\s*(?:(\d+)|([-+*/()]))")


class Malformed(Exception):
    """The text is no expression."""


def words_of(text):
    text, at, words = text.strip(), 0, []
    while at < len(text):
        found = WORD.match(text, at)
        if found is None:
            raise Malformed(text)
        words.append(found[1] or found[2])
        at = found.end()
    return words


class Parser:
    def __init__(self, words):
        self.words, self.at = words, 0

    def next(self):
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self):
        word = self.next()
        self.at += 1
        return word

    def sum(self):
        value = self.product()
        while self.next() in ("+", "-"):
            if self.take() == "+":
                value += self.product()
            else:
                value -= self.product()
        return value

    def product(self):
        value = self.factor()
        while self.next() in ("*", "/"):
            if self.take() == "*":
                value *= self.factor()
            else:
                value //= self.factor()
        return value

    def factor(self):
        word = self.take()
        if word == "-":
            return -self.factor()
        if word == "(":
            value = self.sum()
            if self.take() != ")":
                raise Malformed("a parenthesis is not closed")
            return value
        if not word.isdigit():
            raise Malformed(word)
        return int(word)


def value_of(text):
    parser = Parser(words_of(text))
    value = parser.sum()
    if parser.at != len(parser.words):
        raise Malformed(text)
    return value
