"""What the operators of a family share: a base class, and its forms; a family names none of its members."""
