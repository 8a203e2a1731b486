"""Settings of GraphQL: how much an operation may ask for, and who is told what."""

from pathlib import Path

from pydantic import BaseModel, Field

from gateway.settings.parts import Names


class GraphQLSettings(BaseModel):
    """The settings that begin with `graphql_`."""

    graphql_max_depth: int = Field(
        15, ge=1, description="Maximum depth of fields in a GraphQL operation."
    )
    graphql_max_nodes: int = Field(
        10_000,
        ge=1,
        description="Maximum of nodes that a GraphQL operation could return, by its page lengths.",
    )
    graphql_max_aliases: int = Field(
        30, ge=0, description="Maximum of aliased fields in a GraphQL operation."
    )
    graphql_max_characters: int = Field(
        10_000, ge=1, description="Maximum length of a GraphQL document, in characters."
    )
    graphql_max_tokens: int = Field(
        650, ge=1, description="Maximum length of a GraphQL document, in tokens."
    )
    graphql_max_operations: int = Field(
        20, ge=1, description="Maximum of operations in a GraphQL document, of which one is run."
    )
    graphql_max_fields: int = Field(
        2000,
        ge=1,
        description="Maximum of fields in a GraphQL document; those of a fragment count wherever "
        "it is spread.",
    )
    graphql_max_field_pairs: int = Field(
        300,
        ge=0,
        description="Maximum of pairs of fields with one name in one object of a GraphQL document, "
        "which have to be compared; three fields of one name are three pairs.",
    )
    graphql_max_root_fields: int = Field(
        30, ge=1, description="Maximum of root fields in a GraphQL operation."
    )
    graphql_max_directives: int = Field(
        50, ge=0, description="Maximum of directives in a GraphQL document."
    )
    graphql_max_fragments: int = Field(
        40,
        ge=0,
        description="Maximum of fragments in a GraphQL document, and of places that spread one; "
        "inline fragments count as well.",
    )
    graphql_max_list_length: int = Field(
        1000, ge=1, description="Maximum length of a list that is an argument, or in one."
    )
    graphql_max_literals: int = Field(
        80,
        ge=0,
        description="Maximum of values in the arguments of a GraphQL document, an object counted "
        "as four; variables are not counted.",
    )
    graphql_max_variable_objects: int = Field(
        60, ge=0, description="Maximum of objects in an operation's variables, at all depths."
    )
    graphql_max_variable_values: int = Field(
        1500, ge=1, description="Maximum of values in an operation's variables, at all depths."
    )
    graphql_max_variables_bytes: int = Field(
        1024 * 1024, ge=2, description="Maximum length of an operation's variables, in bytes."
    )
    graphql_introspection_roles: Names = Field(
        (),
        description="Roles that may ask for the GraphQL schema, separated by commas; empty: "
        "everybody. Where they are set, errors suggest no names either.",
    )
    graphql_max_cost: int = Field(
        50_000,
        ge=1,
        description="Maximum cost of a GraphQL operation, in points; checked where there are rate "
        "limits.",
    )
    graphql_cost: bool = Field(
        default=True,
        description="Show the cost of an operation in `extensions.cost`, to requests with the "
        "header `X-GraphQL-Cost`.",
    )
    graphql_documents: Path | None = Field(
        None,
        description="File of trusted documents by their ids, as relay-compiler and graphql-codegen "
        "write it: requests name one by `documentId`, or by the hash in `persistedQuery`.",
    )
    graphql_documents_only: bool = Field(
        default=False,
        description="Take trusted documents only, but for callers whom the policy's rule "
        "`graphql:any_document` allows others, as GraphiQL needs them.",
    )
    graphql_explain: bool = Field(
        default=False,
        description="Show the plan of an operation in `extensions.plan`, to callers with the role "
        "`admin` whose request has the header `X-GraphQL-Explain`.",
    )
