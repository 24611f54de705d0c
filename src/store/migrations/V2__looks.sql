-- When each person last looked at a console, so that the next one can say what happened since.
CREATE TABLE looks (
    person TEXT NOT NULL, -- whom the console knows: the login name, or who is behind a shared one
    uid    INTEGER NOT NULL,
    at     INTEGER NOT NULL, -- Unix milliseconds
    PRIMARY KEY (person, uid)
) STRICT, WITHOUT ROWID;
