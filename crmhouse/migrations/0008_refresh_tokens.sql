-- Where a service replaces a refresh token at each use, the newest one has to outlive the process.

create table ops.refresh_tokens (
    source text primary key,
    token text not null,
    replaced_at timestamptz not null default now()
);
comment on table ops.refresh_tokens is 'The newest refresh token of sources whose service replaces it at each use.';
comment on column ops.refresh_tokens.token is 'Encrypted with a key that is made from the secrets of the source''s configuration, which the warehouse does not have.';
